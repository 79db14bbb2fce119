// Package pages holds tests only: they open the pages that oncelog writes in a browser.
//
// It is a module of its own, so that what drives the browser is no part of oncelog's.
package pages
