// Command client is what the end-to-end tests run inside the cluster: it asks the service by its
// name as other services do, measures with one clock how long its changes take, and prints the
// tokens that it got and, as one line of JSON, its findings.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// settings are the flags. Not every experiment uses all of them.
type settings struct {
	url      string
	caFile   string
	replicas []string // host:port of each
	duration time.Duration
	rate     int // requests a second
	tries    int
	login    string
	password string

	verifiers    int
	staleness    time.Duration // of the verifiers; 0: their default
	settle       time.Duration // before the memory of the service is read
	every        time.Duration // from one revocation to the next, if all have heard by then
	untilStopped bool          // go on after the last revocation
}

type experiment func(context.Context, *settings) (any, error)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	experiments := map[string]experiment{
		"login": login, "load": load, "revocations": revocations, "secrets": secretChanges, "enforced": enforced,
		"labels": labels, "restart": restart, "memory": memory, "away": away,
		"follow": follow, "gone": gone, "cutoff": cutOff,
	}
	if len(args) == 1 && args[0] == "stop" {
		running, err := os.FindProcess(1) // the experiment that this container runs
		if err != nil {
			return err
		}
		return running.Signal(syscall.SIGTERM)
	}
	if len(args) == 0 || experiments[args[0]] == nil {
		return errors.New("the first argument must name an experiment")
	}
	s, err := parse(args[1:])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	result, err := experiments[args[0]](ctx, s)
	if err != nil {
		return err
	}
	used.print()
	return json.NewEncoder(os.Stdout).Encode(result)
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("client", flag.ContinueOnError)
	f.StringVar(&s.url, "url", "https://gatehouse.gatehouse-system.svc", "the service")
	f.StringVar(&s.caFile, "ca", "/ca/ca.crt", "file of the CA to trust")
	replicas := f.String("replicas", "", "host:port of each replica, separated by commas")
	f.DurationVar(&s.duration, "for", time.Minute, "how long a load lasts")
	f.IntVar(&s.rate, "rate", 50, "requests a second")
	f.IntVar(&s.tries, "tries", 100, "how often an experiment measures, or how many tokens it uses")
	f.StringVar(&s.login, "login", "billing-service", "login of the user whose tokens to ask for")
	f.StringVar(&s.password, "password", "7Qm2vXc9RtKe4WzN8bLp", "password of that user")
	passwordFile := f.String("password-file", "", "file with the password, such as a projected token")
	f.IntVar(&s.verifiers, "verifiers", 3, "how many verifiers follow the service")
	f.DurationVar(&s.staleness, "staleness", 0, "how long verifiers accept tokens without a sign of life")
	f.DurationVar(&s.settle, "settle", 5*time.Second, "how long to wait before the memory of the service is read")
	f.DurationVar(&s.every, "every", time.Second, "how often to revoke a user")
	f.BoolVar(&s.untilStopped, "until-stopped", false, "go on after the last revocation")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *passwordFile != "" {
		text, err := os.ReadFile(*passwordFile)
		if err != nil {
			return nil, err
		}
		s.password = string(text)
	}
	if *replicas != "" {
		s.replicas = strings.Split(*replicas, ",")
	}
	return s, nil
}
