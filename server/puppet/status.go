package puppet

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/server/api"
)

// rbacService is the name by which clients of the API know this service.
const rbacService = "rbac-service"

// serviceStatus is the status of a service in the format of the vendor's status library.
type serviceStatus struct {
	ServiceVersion       string         `json:"service_version"`
	ServiceStatusVersion int            `json:"service_status_version"`
	DetailLevel          string         `json:"detail_level"`
	State                string         `json:"state"`
	Status               map[string]any `json:"status"`
	ActiveAlerts         []string       `json:"active_alerts"`
	ServiceName          string         `json:"service_name,omitempty"`
}

// state returns the state of the service and the matching status code: running while the directory
// is complete and not stale and there are keys to issue tokens with, and otherwise starting.
func (h *handler) state() (string, int) {
	if now := h.Now(); h.Directory.HasSynced() && !h.Directory.Stale(now) && h.Keys.Ready(now) {
		return "running", http.StatusOK
	}
	return "starting", http.StatusServiceUnavailable
}

// statusSimple serves GET /status/v1/simple, alone or followed by the name of the service. The body
// has no newline, because clients compare it with the word.
func (h *handler) statusSimple(w http.ResponseWriter, r *http.Request) {
	const plainText = "text/plain; charset=utf-8"
	if name := r.PathValue("service"); name != "" && name != rbacService {
		api.Write(w, http.StatusNotFound, plainText, []byte("not found: "+name))
		return
	}
	state, status := h.state()
	api.Write(w, status, plainText, []byte(state))
}

// statusServices serves GET /status/v1/services: a map with one entry for each service, which is
// only this one.
func (h *handler) statusServices(w http.ResponseWriter, r *http.Request) {
	if level, ok := h.detailLevel(w, r); ok {
		s, status := h.status(level)
		api.WriteJSON(w, status, map[string]serviceStatus{rbacService: s})
	}
}

// statusService serves GET /status/v1/services/{service}.
func (h *handler) statusService(w http.ResponseWriter, r *http.Request) {
	level, ok := h.detailLevel(w, r)
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

// detailLevel returns how much detail the client requests. If the query is invalid it writes the
// failure and returns false. It checks the timeout but does not use it, because the status is
// available at once.
func (h *handler) detailLevel(w http.ResponseWriter, r *http.Request) (string, bool) {
	query := r.URL.Query()
	level := valueOr(query, "level", "info")
	seconds, err := strconv.ParseUint(query.Get("timeout"), 10, 31)
	badTimeout := query.Has("timeout") && (err != nil || seconds == 0)
	if badTimeout || !slices.Contains([]string{"critical", "info", "debug"}, level) {
		const msg = "level must be critical, info or debug, and timeout must be a whole number of seconds, 1 or greater."
		h.wire.write(w, r, &failure{status: http.StatusBadRequest, kind: "data-invalid", msg: msg, bare: true})
		return "", false
	}
	return level, true
}

// status returns the status of the service at a level of detail, and the matching status code. The
// fields about the database describe the directory, which takes the place of the vendor's database.
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
