package gauge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/hack/gauge"
)

func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	const begin, end = "<!-- begin -->\n", "<!-- end -->\n"
	if err := os.WriteFile(page, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gauge.ReplaceSection(page, begin, end, "new\n"); err != nil {
		t.Fatal(err)
	}
	if err := gauge.ReplaceSection(page, "<!-- another -->\n", end, "lost\n"); err == nil {
		t.Error("a page without the marker was taken")
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != "before\n"+begin+"new\n"+end+"after\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTheKernelKnowsThisProcess(t *testing.T) {
	resident, peak, err := gauge.Memory(os.Getpid())
	if err != nil || resident < 1<<10 || peak < resident {
		t.Errorf("%d KiB, at most %d, %v", resident, peak, err)
	}
	if _, err := gauge.CPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, _, err := gauge.Memory(1 << 30); err == nil {
		t.Error("a process that is not there has memory")
	}
}
