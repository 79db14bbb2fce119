#!/bin/bash
# cli.sh CLASS ARGS...: one of Kafka's own tools, e.g.
#   cli.sh org.apache.kafka.tools.TopicCommand --bootstrap-server 127.0.0.1:9092 --list
# Others in org.apache.kafka.tools: ProducerPerformance ConsumerPerformance ConsoleProducer consumer.ConsoleConsumer TransactionsCommand DumpLogSegments
# GroupsCommand consumer.group.ConsumerGroupCommand EndToEndLatency VerifiableProducer VerifiableConsumer TransactionalMessageCopier
# BrokerApiVersionsCommand FeatureCommand MetadataQuorumCommand LeaderElectionCommand reassign.ReassignPartitionsCommand; in kafka.admin: ConfigCommand; in kafka.tools: StorageTool.
. "$(dirname "$0")/common.sh"
exec java ${KAFKA_HEAP_OPTS:--Xmx512M} -XX:+UseG1GC $LOGCFG -cp "$CP" "$@"
