package scale

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

// The limits, all for 100,000 users.
const (
	limitUsers    = 100000
	limitReady    = 15.0  // seconds
	limitKiB      = 5.0   // resident memory for each user
	limitMedianMS = 200.0 // for a change to take effect
	limitP99MS    = 1000.0
)

// report is what a run measures, and where.
type report struct {
	Date, Machine, Go, Kubernetes, Version string
	Directory                              *directoryReport
	Rows                                   []row
}

func newReport(s *settings) *report {
	return &report{
		Date:       time.Now().UTC().Format(time.DateOnly),
		Machine:    machine.Describe(),
		Go:         runtime.Version(),
		Kubernetes: filepath.Base(s.assets),
		Version:    revision(),
	}
}

const tableHead = `| users | Secrets | Tenants | ready | CPU until then | memory when ready | 30 s later | most | KiB a user | requests, writes | revoked: median, p99 | Secret changed: median, p99 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// line is one row of the table.
func (r row) line() string {
	all, writes := r.Requests.total()
	return fmt.Sprintf("| %d | %d | %d | %.1f s | %.1f s | %d MiB | %d MiB | %d MiB | %.1f | %d, %d | %.0f ms, %.0f ms | %.0f ms, %.0f ms |\n",
		r.Users, r.Secrets, r.Tenants, r.Ready, r.CPU, r.ReadyKiB>>10, r.IdleKiB>>10, r.PeakKiB>>10, r.perUser(), all, writes,
		r.Revoked.MedianMS, r.Revoked.P99MS, r.Password.MedianMS, r.Password.P99MS)
}

// perUser is the memory of the whole process, the larger of the two readings, in KiB for each user.
func (r row) perUser() float64 { return float64(max(r.ReadyKiB, r.IdleKiB)) / float64(r.Users) }

func limits() string {
	return fmt.Sprintf("| limit at %d | | | %.0f s | | | | | %.1f | | %.0f ms, %.0f ms | %.0f ms, %.0f ms |\n",
		limitUsers, limitReady, limitKiB, limitMedianMS, limitP99MS, limitMedianMS, limitP99MS)
}

// markdown is the section of docs/benchmarks.md.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s by `make bench-scale`: %s, %s, Gatehouse %s, Kubernetes %s.\n\n",
		r.Date, r.Machine, r.Go, r.Version, r.Kubernetes)
	b.WriteString(tableHead)
	for _, row := range r.Rows {
		b.WriteString(row.line())
	}
	b.WriteString(limits())
	b.WriteString("\n" + r.explanation() + r.directoryTable())
	return b.String()
}

// explanation tells what the columns are, and which requests the API server got at the largest
// size.
func (r *report) explanation() string {
	if len(r.Rows) == 0 {
		return ""
	}
	last := r.Rows[len(r.Rows)-1]
	var sent []string
	for _, name := range slices.Sorted(maps.Keys(last.Requests)) {
		sent = append(sent, fmt.Sprintf("%d %s", last.Requests[name], name))
	}
	return fmt.Sprintf("The service, kube-apiserver, etcd and the measuring process share the machine. Ready is the time from "+
		"the start of the process until `/readyz` answers 200, against an API server that already holds the objects. Memory is "+
		"VmRSS and VmHWM of the process; KiB a user is the larger of the two readings, of the whole process, divided by the number "+
		"of users. Requests are those in the API server's audit log until 30 s after ready; in the last row %s. The time of a "+
		"change runs from the request that patches the User or the Secret until the first request that the HTTPS server refuses "+
		"(a refused password is answered only after the time of a hash), %d times each, "+
		"four at once, while 8 clients change other users as fast as the API server allows, %.0f a second in the last row.\n",
		strings.Join(sent, ", "), last.Revoked.Count, last.Revoked.BurstPerSecond)
}

// The markers between which the page belongs to this command.
const (
	sectionBegin = "<!-- begin scale -->\n"
	sectionEnd   = "<!-- end scale -->\n"
)

// write puts the figures into the documentation: the section, the data, the plot.
func (r *report) write(docs string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	section := r.markdown() + "\n![Time until ready and memory, by number of users](benchmarks-scale.svg)\n"
	return errors.Join(
		machine.ReplaceSection(filepath.Join(docs, "benchmarks.md"), sectionBegin, sectionEnd, section),
		os.WriteFile(filepath.Join(docs, "benchmarks-scale.json"), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(docs, "benchmarks-scale.svg"), []byte(plot(r.Rows)), 0o644),
	)
}

// revision returns the commit that the binary was built from, if the current folder has a
// repository.
func revision() string {
	out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "of an unknown revision"
	}
	return strings.TrimSpace(string(out))
}
