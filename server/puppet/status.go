package puppet

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/server/api"
)

// rbacService is the name under which clients of the API know this service.
const rbacService = "rbac-service"

// serviceStatus is how the status library describes a service.
type serviceStatus struct {
	ServiceVersion       string         `json:"service_version"`
	ServiceStatusVersion int            `json:"service_status_version"`
	DetailLevel          string         `json:"detail_level"`
	State                string         `json:"state"`
	Status               map[string]any `json:"status"`
	ActiveAlerts         []string       `json:"active_alerts"`
	ServiceName          string         `json:"service_name,omitempty"`
}

// state is running once the directory is complete, with the status code that goes with it.
func (h *handler) state() (string, int) {
	if h.Directory.HasSynced() {
		return "running", http.StatusOK
	}
	return "starting", http.StatusServiceUnavailable
}

// statusSimple answers GET /status/v1/simple, alone or with the name of the service. Clients compare the body with the word,
// so there is no newline.
func (h *handler) statusSimple(w http.ResponseWriter, r *http.Request) {
	const plain = "text/plain; charset=utf-8"
	if name := r.PathValue("service"); name != "" && name != rbacService {
		api.Write(w, http.StatusNotFound, plain, []byte("not found: "+name))
		return
	}
	state, status := h.state()
	api.Write(w, status, plain, []byte(state))
}

// statusServices answers GET /status/v1/services: every service by its name, of which there is one.
func (h *handler) statusServices(w http.ResponseWriter, r *http.Request) {
	if level, ok := h.level(w, r); ok {
		s, status := h.status(level)
		api.WriteJSON(w, status, map[string]serviceStatus{rbacService: s})
	}
}

// statusService answers GET /status/v1/services/{service}.
func (h *handler) statusService(w http.ResponseWriter, r *http.Request) {
	level, ok := h.level(w, r)
	if !ok {
		return
	}
	name := r.PathValue("service")
	if name != rbacService {
		msg := "No status information found for service " + name
		h.wire.write(w, r, &failure{status: http.StatusNotFound, kind: "service-not-found", msg: msg, bare: true})
		return
	}
	s, status := h.status(level)
	s.ServiceName = name
	api.WriteJSON(w, status, s)
}

// level reads how much detail is asked for, or answers that it cannot be read. An answer takes no time here, so a timeout is
// checked and has no effect.
func (h *handler) level(w http.ResponseWriter, r *http.Request) (string, bool) {
	query := r.URL.Query()
	level := given(query, "level", "info")
	seconds, err := strconv.ParseUint(query.Get("timeout"), 10, 31)
	badTimeout := query.Has("timeout") && (err != nil || seconds == 0)
	if badTimeout || !slices.Contains([]string{"critical", "info", "debug"}, level) {
		const msg = "level must be critical, info or debug, and timeout a whole number of seconds from 1."
		h.wire.write(w, r, &failure{status: http.StatusBadRequest, kind: "data-invalid", msg: msg, bare: true})
		return "", false
	}
	return level, true
}

// status describes the service. What the vendor's service says of its database is said of the directory, which has its place
// here.
func (h *handler) status(level string) (serviceStatus, int) {
	state, code := h.state()
	s := serviceStatus{
		ServiceVersion: h.Version, ServiceStatusVersion: 1, DetailLevel: level, State: state,
		Status: map[string]any{}, ActiveAlerts: []string{},
	}
	if level != "critical" {
		pool := map[string]string{"state": "ready"}
		if code != http.StatusOK {
			pool["state"] = "initializing"
		}
		s.Status = map[string]any{
			"db_up": code == http.StatusOK, "db_pool": pool, "activity_up": true,
			"replication": map[string]string{"mode": "none", "status": "none"},
		}
	}
	return s, code
}
