// Package scale measures what grows with the number of users. It starts a real etcd and
// kube-apiserver with that many Users and Secrets, starts the built binary against them as a
// process of its own, and writes the figures beside their limits:
//
//	bench scale -assets FOLDER [-sizes 1000,10000] [-layouts each,shared,tenants] [-docs docs]
//
// Filling an API server is slow, so scale keeps each filled etcd in the cache folder, and every run
// starts from a copy of it.
package scale

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// settings are the flags.
type settings struct {
	binary, assets, cache, docs string
	sizes                       []int
	layouts                     []layout
	idle                        time.Duration
	directory                   bool
}

// Run measures what the flags in args ask for, prints the report, and writes it where -docs says.
func Run(ctx context.Context, args []string) error {
	log.SetLogger(logr.Discard())
	s, err := parseSettings(args)
	if err != nil {
		return err
	}
	out := newReport(s)
	if s.directory {
		if out.Directory, err = measureDirectory(ctx); err != nil {
			return err
		}
	}
	for _, size := range s.sizes {
		for _, l := range s.layouts {
			row, err := measure(ctx, s, dataset{users: size, layout: l})
			if err != nil {
				return fmt.Errorf("%d users, %s: %w", size, l, err)
			}
			out.Rows = append(out.Rows, row)
			fmt.Print(row.line())
		}
	}
	fmt.Println(out.markdown())
	if s.docs == "" {
		return nil
	}
	return out.write(s.docs)
}

func parseSettings(args []string) (*settings, error) {
	s := &settings{}
	var sizes, layouts string
	f := flag.NewFlagSet("bench scale", flag.ContinueOnError)
	f.StringVar(&s.binary, "binary", "bin/gatehouse", "the binary to measure")
	f.StringVar(&s.assets, "assets", os.Getenv("KUBEBUILDER_ASSETS"), "folder of kube-apiserver and etcd")
	f.StringVar(&s.cache, "cache", "", "folder for filled etcds (default: gatehouse/benchscale in the user's cache)")
	f.StringVar(&s.docs, "docs", "", "folder whose benchmarks.md gets the figures; without it they are only printed")
	f.StringVar(&sizes, "sizes", "1000,10000,100000", "numbers of users")
	f.StringVar(&layouts, "layouts", "each,shared,tenants", "each: one Secret for each user; shared: 500 users' hashes in one; tenants: each, and a Tenant for each 100 users")
	f.DurationVar(&s.idle, "idle", 30*time.Second, "how long to wait before memory at rest is read")
	f.BoolVar(&s.directory, "directory", true, "also measure the directory alone")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if s.assets == "" {
		return nil, errors.New("-assets is missing; hack/envtest/build.sh builds the folder and prints its name")
	}
	if s.cache == "" {
		folder, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		s.cache = filepath.Join(folder, "gatehouse", "benchscale")
	}
	return s, errors.Join(s.readSizes(sizes), s.readLayouts(layouts))
}

func (s *settings) readSizes(text string) error {
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < minUsers {
			return fmt.Errorf("-sizes: %q is not a number of at least %d", field, minUsers)
		}
		s.sizes = append(s.sizes, n)
	}
	slices.Sort(s.sizes)
	return nil
}

func (s *settings) readLayouts(text string) error {
	for field := range strings.SplitSeq(text, ",") {
		l := layout(strings.TrimSpace(field))
		if l != each && l != shared && l != tenants {
			return fmt.Errorf("-layouts: %q is none of each, shared and tenants", field)
		}
		s.layouts = append(s.layouts, l)
	}
	return nil
}
