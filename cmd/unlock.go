package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// unlockTimeout is how long gatehouse unlock waits for a running service to answer, and unlockPoll how
// often it looks for the answer.
const (
	unlockTimeout = 10 * time.Second
	unlockPoll    = 100 * time.Millisecond
)

// newUnlockCommand returns the command that lifts the lock of an account of a standalone service.
func newUnlockCommand() *cobra.Command {
	var state, manifests string
	cmd := &cobra.Command{
		Use:   "unlock LOGIN",
		Short: "Lift the lock of an account of a standalone service",
		Long: "Lifts the lock that failed logins have put on an account of the standalone service that is running with --manifests or\n" +
			"--state-dir. In a cluster, set status.lockedUntil of the User to null instead.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := stateDir(state, manifests)
			if err != nil {
				return err
			}
			if err := requestUnlock(cmd.Context(), dir, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is not locked.\n", args[0])
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "state-dir", "", "state folder of the service")
	f.StringVar(&manifests, "manifests", "", "folder of manifests of a service that uses the default state folder")
	return cmd
}

// stateDir returns the state folder that the flags name: itself, or the default one of manifests.
func stateDir(dir, manifests string) (string, error) {
	switch {
	case dir != "" && manifests != "":
		return "", errors.New("--state-dir and --manifests are mutually exclusive")
	case dir != "":
		return dir, nil
	case manifests != "":
		return statedir.Default(manifests)
	}
	return "", errors.New("name the service with --manifests DIR or --state-dir DIR")
}

// requestUnlock leaves a request in the state folder, waits for the answer of the service and removes
// both.
func requestUnlock(ctx context.Context, dir, login string) error {
	file := statedir.EntriesFile{Dir: dir, Name: statedir.UnlockEntries}
	put := func(ctx context.Context, state string) error {
		_, err := file.Update(ctx, func(entries map[string][]byte) (map[string][]byte, error) {
			delete(entries, login)
			if state != "" {
				entries[login] = []byte(state)
			}
			return entries, nil
		})
		return err
	}
	if err := put(ctx, statedir.UnlockRequested); err != nil {
		return err
	}
	answer, err := awaitUnlock(ctx, file, login)
	if err := errors.Join(err, put(context.WithoutCancel(ctx), "")); err != nil {
		return err
	}
	switch answer {
	case statedir.UnlockDone:
		return nil
	case statedir.UnlockUnknown:
		return fmt.Errorf("no user has the login %q", login)
	case statedir.UnlockRequested:
		return fmt.Errorf("no running service uses the state folder %s, so nothing was changed", dir)
	}
	return errors.New("the service could not write the change; its log says why")
}

// awaitUnlock returns the answer of the service, or UnlockRequested if there is none in time.
func awaitUnlock(ctx context.Context, file statedir.EntriesFile, login string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	tick := time.NewTicker(unlockPoll)
	defer tick.Stop()
	for {
		entries, err := file.Read(ctx)
		if err != nil {
			return "", err
		}
		if answer := string(entries[login]); answer != statedir.UnlockRequested {
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return statedir.UnlockRequested, nil
		case <-tick.C:
		}
	}
}
