package conformance_test

import (
	"fmt"

	"github.com/oncelog/oncelog/conformance"
)

func ExampleSelect() {
	cases, err := conformance.Select(conformance.Cases(), []string{"idempotence/wrap", "txn/empty/1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range cases {
		fmt.Println(c.ID, c.Level, c.Title)
	}
	// Output:
	// idempotence/wrap/1 MUST sequences wrap from 2147483647 to 0
	// idempotence/wrap/2 MUST a batch may lie across the wrap of its sequence
	// txn/empty/1 MUST EndTxn v5 commit of an empty transaction is INVALID_TXN_STATE
}
