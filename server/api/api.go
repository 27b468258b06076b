// Package api defines how an API is mounted on the server: its routes, and its responses to unknown
// paths and methods. It also writes responses, as all APIs do it the same way.
package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// API is a set of routes that share a wire format.
type API struct {
	Name     string   // in logs and metrics
	Prefixes []string // "/v1/" for example: NotFound answers unknown paths below them
	Routes   []Route

	// NotFound answers 404.
	NotFound http.HandlerFunc
	// MethodNotAllowed answers 405. The server has already set the Allow header.
	MethodNotAllowed http.HandlerFunc
	// Unavailable answers 503 with Retry-After, for requests that the server has no room for.
	Unavailable http.HandlerFunc
}

// Route is a path with its handlers by method.
type Route struct {
	Path string // a pattern of http.ServeMux without a method
	// Methods maps methods to handlers. The handler for GET also serves HEAD, and "*" serves every
	// method.
	Methods map[string]http.HandlerFunc
}

// WriteJSON writes v as a JSON response. It forbids caching, because the content is meant for one
// client, unless the handler has already set Cache-Control.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the response as JSON", http.StatusInternalServerError)
		return
	}
	Write(w, status, "application/json", body)
}

// Write writes a response with an encoded body. Like WriteJSON it forbids caching unless the
// handler has already set Cache-Control. It ends the JSON of an error with a newline, because people
// read errors in terminals.
func Write(w http.ResponseWriter, status int, contentType string, body []byte) {
	if status >= http.StatusBadRequest && contentType == "application/json" {
		body = append(slices.Clip(body), '\n')
	}
	h := w.Header()
	values := [...]string{"no-store", contentType, strconv.Itoa(len(body))} // of three headers, in one allocation
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = values[:1:1]
	}
	h["Content-Type"] = values[1:2:2]
	h["Content-Length"] = values[2:]
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client is gone
}
