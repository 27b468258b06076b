package main

import (
	"fmt"
	"sync"
)

// enough is how many tokens of one experiment are told to the test, which looks for them in the logs of the replicas.
const enough = 500

// used are tokens that this client has been given.
var used tokens

type tokens struct {
	mu    sync.Mutex
	known map[string]bool
}

func (t *tokens) note(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[string]bool{}
	}
	if token != "" && len(t.known) < enough {
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
