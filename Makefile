# Each target is one line a newcomer can run. RACE, FUZZTIME, IDLETIME, LEADERSHIPS, LONG, MINUTE, MOST, ROUNDS, SEED, SEEDS and BROKERS may be set on the command line.
GO       ?= go
BROKERS  ?= localhost:9092
FUZZTIME ?= 30s
LEADERSHIPS ?= 2000
ROUNDS   ?= 40
SEEDS    ?= $(if $(LONG),1000,300)
KILLS    ?= 20
BESIDE   ?= 100
SEED     ?= 0
IDLETIME ?= 10s
MINUTE   ?= 1m
MOST     ?= 8
RACE     ?= ./log/... ./replication/... ./txn/... ./broker/... ./cmd/oncelog/bench
KGO      := v1.22.2

.PHONY: build test race check cross golden fuzz bench conform matrix pages kgo clients interop streams verifiable proxied tools tools-golden reassign judge crash fulldisk chaos sim planted verify idle idle3

build: ## the binary, in bin/: static, which also starts some milliseconds sooner
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/oncelog ./cmd/oncelog

test: ## everything that needs no network and no other program
	$(GO) test -shuffle=on -timeout 10m ./...

race: export ONCELOG_FUZZ_SECONDS = 10
race: ## the packages with goroutines, under the race detector
	$(GO) test -race -short -timeout 15m $(RACE)

check: ## formatting, vet, staticcheck, import directions
	@test -z "$$(gofmt -l .)" || { echo "gofmt -w these:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags planted,synctests ./protocol/planted ./broker/brokertest/sim ./cmd/oncelog
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) test -count=1 -run 'TestImportsPointDown|TestRules' ./cmd

cross: ## laptops: darwin, windows, linux on amd64 and arm64
	@for t in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		echo "build $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/oncelog || exit 1; done

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test ./txn ./broker ./cmd/oncelog/bench -golden

fuzz: ## each fuzz target for FUZZTIME
	tools/fuzz.sh $(FUZZTIME)

judge: ## the append fuzz: three replicas, idempotent producers, everything that may happen to them
	$(GO) test -count=1 -run '^TestAppendFuzz$$' -v -timeout 30m ./replication -leaderships $(LEADERSHIPS)

crash: ## a broker killed ROUNDS times under load, and all that clients were told judged; SEED repeats a run's choices
	$(GO) test -count=1 -run '^TestKilledUnderLoad$$' -v -timeout 30m ./cmd/oncelog -rounds $(ROUNDS) -seed $(SEED)

sim: ## three brokers and their clients in SEEDS bubbles in which net and disks go wrong, everything judged; SEED=n runs that one and tells of it, LONG=1 a thousand
	$(GO) test -count=1 -tags synctests -timeout 30m ./broker/brokertest/sim -seeds $(SEEDS) $(if $(filter-out 0,$(SEED)),-v) -seed $(SEED)

planted: ## one bug after the other planted into the broker (protocol/planted): rules of the conformance suite must find it, or the simulation; and nothing where there is none
	$(GO) test -count=1 -tags planted -timeout 5m -run '^TestRulesFindPlantedBugs$$' -v ./cmd/oncelog
	$(GO) test -count=1 -tags planted,synctests -timeout 15m -run '^TestPlantedBugsAreFound$$' -v ./broker/brokertest/sim

failover: ## three brokers in three processes, the leader's killed KILLS times: how long until the next acknowledgement and until the BESIDE partitions next to it are led again, and nothing lost
	$(GO) test -count=1 -run '^TestFailover$$' -v -timeout 15m ./cmd/oncelog -kills $(KILLS) -beside $(BESIDE) -ack 3s

fulldisk: ## a real disk of 24 MB fills up under load, of a lone broker and of one of three; it wants the right to mount one
	$(GO) test -count=1 -run '^TestFullDisk' -v -timeout 10m ./cmd/oncelog

chaos: build ## three brokers killed, stopped and parted under load for a minute, and all that clients were told judged; LONG=1 for ten; MOVES=1: partitions move and a fourth broker comes and goes, for three; SEED repeats a run's choices
	bin/oncelog verify chaos --seed $(SEED) $(if $(LONG),--for 10m --transactors 32 --min-txns 20000 --min-faults 60 --min-client-kills 300 --min-zombies 100 --min-late-copies 2000,$(if $(MOVES),--moves --for 3m,--for 55s))

verify: build ## oncelog verify run against BROKERS: mixed clients to which mishaps happen, for MINUTE, and all that they were told judged
	bin/oncelog verify run --brokers $(BROKERS) --for $(MINUTE)

idle: ## latency of an active client and the broker's memory, with and without 1,000 idle and ten slow connections beside it
	$(GO) test -count=1 -run '^TestCrowdFigures$$' -v -timeout 30m ./cmd/oncelog -crowd $(IDLETIME)

idle3: ## three nodes with 1,000 partitions that nobody uses, in one process and in three, for five MINUTEs each: that none takes more than MOST percent of a core, and that no leader changes though all garbage is collected at once and a node is stopped for 2 s
	$(GO) test -count=1 -run '^TestIdleNodes$$' -v -timeout 60m ./cmd/oncelog -minute $(MINUTE) -most $(MOST)

bench: ## micro-benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./protocol/... ./log/... ./replication/... ./txn/... ./broker/...

matrix: build ## the conformance suite against oncelog, Apache Kafka (4.3.1 with both transaction protocols, 3.9.2), kfake and librdkafka's mock cluster: docs/conformance-matrix.md
	tools/matrix.sh

pages: build ## the pages that oncelog writes, opened in a headless Chromium: nothing on the console, links that lead somewhere, readable in 800 and 1440 px, light and dark
	tools/pages/run.sh

conform: ## the conformance suite against BROKERS
	$(GO) test -count=1 ./conformance -args -brokers $(BROKERS)

kgo: build ## franz-go's own integration suite at $(KGO) against this broker; KILL=10: three, one killed every 10 s
	tools/kgo.sh $(KGO)

clients: build ## kcat and Apache Kafka's own tools against this broker
	tools/clients.sh

interop: build ## client libraries in several languages, the same four programs each; BROKERS=host:port for another broker
	tools/interop/run

streams: build ## Kafka Streams counts words exactly once while it is killed three times; BROKERS=host:port for another broker, KILL=10 as above
	tools/interop/streams/run.sh

proxied: build ## oncelog proxy loses answers of producers with and without idempotence; BROKERS=host:port for another broker
	tools/proxy.sh

verifiable: build ## Kafka's VerifiableProducer and VerifiableConsumer as a pair; BROKERS=host:port for another broker
	tools/verifiable.sh

reassign: build ## Kafka's tools move replicas and elect leaders on three brokers, compared with what they print on Apache Kafka
	tools/reassign.sh

tools: build ## Kafka's own command-line tools against this broker, compared with what they print on Apache Kafka
	tools/kafka/golden.sh compare

tools-golden: ## record what Kafka's tools print on Apache Kafka; read the diff before you commit it
	tools/kafka/golden.sh record
