package statedir_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

const (
	childEnv = "GATEHOUSE_TEST_REVOKE_IN" // the folder in which the test binary, started again, revokes tokens until it is killed
	killsEnv = "GATEHOUSE_TEST_KILLS"     // how often it is killed
)

// TestNoAnsweredRevocationIsForgottenWhenTheProcessIsKilled kills a process again and again while it revokes tokens from many
// goroutines. It tells on its standard output what was answered.
func TestNoAnsweredRevocationIsForgottenWhenTheProcessIsKilled(t *testing.T) {
	kills := 10
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	dir := t.TempDir()
	answered := map[string]bool{}
	newest := time.Time{}.Unix()
	for round := range kills {
		for line := range strings.Lines(runAndKill(t, dir)) {
			line, whole := strings.CutSuffix(line, "\n")
			if second, ok := strings.CutPrefix(line, "all "); ok && whole {
				n, err := strconv.ParseInt(second, 10, 64)
				must(t, err)
				newest = max(newest, n)
			} else if whole {
				answered[line] = true
			}
		}
		s, err := statedir.Open(dir, slog.New(slog.DiscardHandler)) // not open, which would keep all of them until the end
		must(t, err)
		tokens := s.Tokens()
		for id := range answered {
			if !tokens[id].Revoked {
				t.Fatalf("after kill %d: the answered revocation of token %s is forgotten", round+1, id)
			}
		}
		if got := s.Standing("user").TokensRevokedAt.Unix(); got < newest {
			t.Fatalf("after kill %d: all tokens were revoked at %d, and %d is remembered", round+1, newest, got)
		}
		shut(t, s)
	}
	t.Logf("%d kills, %d answered revocations, none forgotten", kills, len(answered))
	if len(answered) == 0 {
		t.Error("nothing was answered, so nothing was shown")
	}
}

// runAndKill starts the child, kills it a moment after its first answer, and returns what it said.
func runAndKill(t *testing.T, dir string) string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	reader := bufio.NewReader(out)
	said, err := reader.ReadString('\n')
	must(t, err)
	killed := time.AfterFunc(time.Duration(rand.Int64N(int64(20*time.Millisecond))), func() { _ = child.Process.Kill() })
	defer killed.Stop()
	var rest strings.Builder
	_, _ = reader.WriteTo(&rest) // ends with the child
	_ = child.Wait()             // it was killed
	return said + rest.String()
}

// revokeUntilKilled revokes tokens and prints the id of each as soon as it is answered.
func revokeUntilKilled(dir string) {
	s, err := statedir.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 8 {
		go func() {
			for {
				id := fmt.Sprintf("%016x", rand.Uint64())
				if _, err := s.Revoke(token(id, "user", ""), 200); err == nil {
					fmt.Println(id)
				}
			}
		}()
	}
	for second := max(0, s.Standing("user").TokensRevokedAt.Unix()) + 1; ; second++ {
		err := s.UpdateStanding("user", func(st statedir.Standing) statedir.Standing {
			st.TokensRevokedAt = time.Unix(second, 0).UTC()
			return st
		})
		if err == nil {
			fmt.Println("all", second)
		}
	}
}
