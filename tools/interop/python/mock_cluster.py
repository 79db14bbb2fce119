"""librdkafka's mock cluster as a broker that other programs can reach: mock_cluster.py HOST:PORT

The mock lives inside a client and takes a free port each time. Connections to HOST:PORT are passed on to it, so that the
address stays the same when it is started again; its metadata tells the port it has. It ends when it is killed, or with the
mock, which ends the process when an assertion of it fails.
"""

import socket
import sys
import threading

from confluent_kafka import Producer


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass  # one of the two sides closed; closing both tells the other
    for s in (source, target):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    client = Producer({"test.mock.num.brokers": 1})
    broker = next(iter(client.list_topics(timeout=30).brokers.values()))
    with socket.create_server((host, int(port))) as server:
        while True:
            near, _ = server.accept()
            try:
                far = socket.create_connection((broker.host, broker.port))
            except OSError:
                near.close()
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=copy, args=(source, target), daemon=True).start()


main()
