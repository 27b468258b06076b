package main

import (
	"fmt"
	"sync"
)

// maxUsed is how many tokens of one experiment the client prints for the test, which searches the
// logs of the replicas for them.
const maxUsed = 500

// used holds tokens that this client got.
var used tokens

type tokens struct {
	mu    sync.Mutex
	known map[string]bool
}

// add keeps a token, up to maxUsed of them.
func (t *tokens) add(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]bool{}
	}
	if token != "" && len(t.known) < maxUsed {
		t.known[token] = true
	}
}

// print writes one line for each token.
func (t *tokens) print() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for token := range t.known {
		fmt.Println("used", token)
	}
}
