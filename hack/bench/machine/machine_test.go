package machine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-auth/gatehouse/hack/bench/machine"
)

func TestReplaceSection(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	const begin, end = "<!-- begin -->\n", "<!-- end -->\n"
	if err := os.WriteFile(page, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := machine.ReplaceSection(page, begin, end, "new\n"); err != nil {
		t.Fatal(err)
	}
	if err := machine.ReplaceSection(page, "<!-- another -->\n", end, "lost\n"); err == nil {
		t.Error("a page without the marker was accepted")
	}
	if got, err := os.ReadFile(page); err != nil || string(got) != "before\n"+begin+"new\n"+end+"after\n" {
		t.Errorf("the page is %q, %v; want only the text between the markers replaced", got, err)
	}
}

func TestProcessFigures(t *testing.T) {
	t.Parallel()
	resident, peak, err := machine.Memory(os.Getpid())
	if err != nil || resident < 1<<10 || peak < resident {
		t.Errorf("this process has %d KiB, at most %d, %v", resident, peak, err)
	}
	if _, err := machine.CPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, _, err := machine.Memory(1 << 30); err == nil {
		t.Error("a process that does not exist has memory")
	}
}
