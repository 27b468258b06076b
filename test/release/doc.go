// Package release tests what makes a release: the workflows of GitHub, and the scripts that they run.
package release
