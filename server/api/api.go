// Package door says what a door is: the routes of one dialect, and how that dialect says that there is nothing here.
package api

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// API is one dialect as the server mounts it.
type API struct {
	Name     string   // in logs and metrics
	Prefixes []string // paths below these are answered in this dialect, "/v1/" for example
	Routes   []Route

	NotFound http.HandlerFunc
	// MethodNotAllowed answers 405. The Allow header is already set.
	MethodNotAllowed http.HandlerFunc
}

// Route is a path with its handlers by method.
type Route struct {
	Path string // a pattern of http.ServeMux without a method
	// Methods are the handlers by method. GET answers HEAD too. "*" answers every method.
	Methods map[string]http.HandlerFunc
}

// WriteJSON answers with a value as JSON. What it says is for its receiver alone, so no cache may keep it unless the handler
// has set Cache-Control itself.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	Write(w, status, "application/json", body)
}

// Write answers with a body that is ready.
func Write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	values := [...]string{"no-store", contentType, strconv.Itoa(len(body))} // of three headers, in one piece of memory
	if h["Cache-Control"] == nil {
		h["Cache-Control"] = values[:1:1]
	}
	h["Content-Type"] = values[1:2:2]
	h["Content-Length"] = values[2:]
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone when this fails
}
