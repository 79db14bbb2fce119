// Package fault is rules as data: which requests something is done to, and what.
//
// A Rule is read from one line, such as "lose-answer api=Produce topic=orders nth=2",
// or from a JSON object with the same keys. A Set holds rules, is asked about each
// Event, and tells what its rules have hit. A rule counts the events that it matches, so it
// hits the same logical event again when the same clients do the same again: no clock and
// no shared random number has a say.
//
// The package decides; it carries nothing out. It knows no network and no disk.
package fault
