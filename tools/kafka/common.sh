# Sourced by the scripts here: Apache Kafka from Maven Central, resolved once into a cache folder. Needs java and mvn.
# Environment: KAFKA_VERSION (4.3.1; 3.9.2 works too), KAFKA_HEAP_OPTS, KAFKA_NUM_PARTITIONS, KAFKA_AUTO_CREATE,
# KAFKA_FEATURES ('transaction.version=1': finalized at format), KAFKA_EXTRA ('a=b\nc=d': further server.properties lines).
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KAFKA_VERSION=${KAFKA_VERSION:-4.3.1}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/oncelog
BASE=$CACHE/kafka-$KAFKA_VERSION
resolve() {
  [ -s "$BASE/classpath.txt" ] && return
  mkdir -p "$BASE"
  case $KAFKA_VERSION in
    3.*) LOGDEPS='<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>' ;;
    *)   LOGDEPS='<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.3</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.3</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-1.2-api</artifactId><version>2.25.3</version></dependency>' ;;
  esac
  { echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    for a in kafka_2.13 kafka-tools kafka-clients kafka-storage kafka-group-coordinator kafka-transaction-coordinator kafka-shell; do
      echo "<dependency><groupId>org.apache.kafka</groupId><artifactId>$a</artifactId><version>$KAFKA_VERSION</version></dependency>"; done
    echo "$LOGDEPS</dependencies></project>"; } > "$BASE/pom.xml"
  (cd "$BASE" && mvn -q -B dependency:build-classpath -Dmdep.outputFile=classpath.tmp >mvn.log 2>&1) || { tail -5 "$BASE/mvn.log" >&2; exit 1; }
  mv "$BASE/classpath.tmp" "$BASE/classpath.txt"
}
resolve
CP=$(cat "$BASE/classpath.txt")
HEAP="${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G}"   # the heap and GC settings of Kafka's own start script
PERF="-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"
case $KAFKA_VERSION in
  3.*) LOGCFG="-Dlog4j.configuration=file:$HERE/tools-log4j.properties"; SRVLOG="-Dlog4j.configuration=file:$HERE/server-log4j.properties" ;;
  *)   LOGCFG="-Dlog4j2.configurationFile=file:$HERE/tools-log4j2.properties"; SRVLOG="-Dlog4j2.configurationFile=file:$HERE/server-log4j2.properties" ;;
esac
JMX=""
format() { # SERVER.PROPERTIES LOGFILE
  local f; local args=()
  for f in ${KAFKA_FEATURES:-}; do args+=(--feature "$f"); done
  java -Xmx256m $LOGCFG -cp "$CP" kafka.tools.StorageTool format -t "${KAFKA_CLUSTER_ID:-MkU3OEVBNTcwNTJENDM2Qk}" -c "$1" "${args[@]}" >"$2" 2>&1 || { cat "$2" >&2; exit 1; }
}
write_props() { # ID PORT CPORT DATADIR VOTERS RF MINISR FILE
cat > "$8" <<P
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$5
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$4
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
num.partitions=${KAFKA_NUM_PARTITIONS:-1}
num.recovery.threads.per.data.dir=2
default.replication.factor=$6
offsets.topic.replication.factor=$6
share.coordinator.state.topic.replication.factor=$6
share.coordinator.state.topic.min.isr=$7
transaction.state.log.replication.factor=$6
transaction.state.log.min.isr=$7
min.insync.replicas=$7
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=${KAFKA_AUTO_CREATE:-true}
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
$(printf '%b' "${KAFKA_EXTRA:-}")
P
}
wait_port() { local i # PID PORT
  for i in $(seq 1 600); do
    kill -0 $1 2>/dev/null || return 1
    (exec 3<>/dev/tcp/127.0.0.1/$2) 2>/dev/null && return 0
    sleep 0.1
  done; return 1; }
