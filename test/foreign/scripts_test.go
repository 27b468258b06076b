package foreign_test

import (
	"path/filepath"
	"testing"
)

// TestScripts runs what scripts of users send, with the tools that they are written for. Each script
// ends with an error if an answer is not the expected one.
func TestScripts(t *testing.T) {
	for script, path := range map[string]string{
		"puppet.sh": "/bin/bash", "puppet.rb": "/usr/bin/ruby", "clients.py": "/usr/bin/python3",
	} {
		t.Run(script, func(t *testing.T) {
			path := installed(t, path)
			g, ada := newIssuer(t)
			run(t, []string{
				"URL=" + g.URL, "CA=" + writeFile(t, "ca.crt", string(g.CA)), "LOGIN=" + ada.Login, "PASSWORD=" + adaPassword,
			}, path, filepath.Join("testdata", script))
		})
	}
}
