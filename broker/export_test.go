package broker

// Golden says that golden files are to be rewritten, to the tests outside of
// the package.
var Golden = golden
