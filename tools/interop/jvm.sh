# Sourced by the scripts here: builds one folder of Java against jars from Maven Central. Needs javac and mvn.
JVM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/oncelog-interop

# jvm_build FOLDER VERSION [SOURCE...]: resolves FOLDER/pom.xml with Kafka's VERSION and compiles the sources (all of the folder's
# unless named) when they changed; sets CP. Two at once wait for each other.
jvm_build() {
  local folder=$1 version=$2 out; shift 2
  local sources=("${@:-}"); test -n "${sources[0]}" || sources=("$folder"/*.java)
  out=$JVM_CACHE/$(basename "$folder")-$version
  mkdir -p "$out"
  exec 8>"$out/lock"; flock 8
  if ! test "$out/classpath.txt" -nt "$folder/pom.xml"; then
    mvn -q -B -f "$folder/pom.xml" -Dkafka.version="$version" dependency:build-classpath -Dmdep.outputFile="$out/classpath.tmp" >"$out/mvn.log" 2>&1 ||
      { echo "mvn could not fetch Kafka $version from Maven Central:" >&2; tail -5 "$out/mvn.log" >&2; return 1; }
    mv "$out/classpath.tmp" "$out/classpath.txt"; rm -rf "$out/classes"
  fi
  CP=$out/classes:$(cat "$out/classpath.txt")
  local newest; newest=$(ls -t "${sources[@]}" | head -1)
  if ! test "$out/classes/built" -nt "$newest"; then
    rm -rf "$out/classes"; mkdir "$out/classes"
    javac -Xlint:all,-processing --release 17 -cp "$CP" -d "$out/classes" "${sources[@]}"
    touch "$out/classes/built"
  fi
  exec 8>&-
}

# JVM_OPTS: small heaps, and slf4j-simple at WARN on stderr with the logger's name.
JVM_OPTS=(-Xmx256m -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showThreadName=false)
