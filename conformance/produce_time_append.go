package conformance

import "time"

var produceTimeAppend = Case{
	ID:          "produce/time/2",
	Title:       "LogAppendTime answers and stores the broker's time, CreateTime answers -1",
	Requirement: "KIP-32; message.timestamp.type",
	Level:       Must,
	Run: func(t *T) {
		create, stamp := t.oneLog(), t.oneLog("message.timestamp.type", "LogAppendTime")
		b := plain("a")
		b.timestamp = time.Now().Add(-time.Hour).UnixMilli()
		kept := t.produce(create, call{}, b)
		t.code("CreateTime", kept.ErrorCode, codeNone)
		t.equal("its append time", kept.LogAppendTime, -1)
		stamped := t.produce(stamp, call{}, b)
		t.code("LogAppendTime", stamped.ErrorCode, codeNone)
		t.record("its append time", stamped.LogAppendTime > b.timestamp, "after the record's", time.UnixMilli(stamped.LogAppendTime).String())
		if all := t.log(create); t.equal("batches", len(all), 1) {
			t.equal("timestamp kept", all[0].maxTimestamp, b.timestamp)
		}
		if all := t.log(stamp); t.equal("batches", len(all), 1) {
			t.equal("timestamp stored", all[0].maxTimestamp, stamped.LogAppendTime)
		}
	},
}
