// Package session keeps what gatehouse login obtains: contexts in config.yaml, and beside it one file
// for the token of each context. Files are readable by their owner only, and are replaced in one
// step, so that a reader never sees half of one.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"
	"sigs.k8s.io/yaml"
)

// maximumFile is the maximum size of a file of the store, in bytes.
const maximumFile = 1 << 20

// DefaultContext is the name of the context of a login that names none.
const DefaultContext = "default"

// contextName is what a context may be called. It becomes the name of a file.
var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$`)

// Context is a service, and how to log in to it again.
type Context struct {
	Name                    string `json:"name"`
	Server                  string `json:"server"`
	CA                      string `json:"ca,omitempty"` // absolute path of a file in PEM
	Login                   string `json:"login,omitempty"`
	Lifetime                string `json:"lifetime,omitempty"`
	Label                   string `json:"label,omitempty"`
	ServiceAccountTokenFile string `json:"serviceAccountTokenFile,omitempty"` // absolute path
}

// Config is the content of config.yaml.
type Config struct {
	CurrentContext string    `json:"currentContext,omitempty"`
	Contexts       []Context `json:"contexts,omitempty"`
}

// Token is the token of a context. Its fields are the content of the file of the token.
type Token struct {
	Token   string    `json:"token"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// ErrNotLoggedIn is the error for a context that has no token.
var ErrNotLoggedIn = errors.New("not logged in; run: gatehouse login")

// UnknownContextError is the error for a name that no context has.
type UnknownContextError struct {
	Name string
}

func (e *UnknownContextError) Error() string {
	return fmt.Sprintf("there is no context %q; run: gatehouse context list", e.Name)
}

// NeedsRenewal reports whether less than a fifth of the life of the token is left.
func (t Token) NeedsRenewal(now time.Time) bool {
	return t.Expires.Sub(now) < t.Expires.Sub(t.Created)/5
}

// Store is the folder of the contexts and tokens. Several processes may use it at once.
type Store struct {
	Dir string
}

// DefaultDir returns the folder of the store: gatehouse in $XDG_CONFIG_HOME, or in the place that
// stands for it on this operating system.
func DefaultDir() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "gatehouse"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for contexts: %w; set XDG_CONFIG_HOME to an absolute path", err)
	}
	return filepath.Join(home, ".config", "gatehouse"), nil
}

// Config returns the contexts. There are none before the first login.
func (s Store) Config() (Config, error) {
	var c Config
	text, err := readLimited(s.configPath())
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w; correct the file, or delete it and log in again", s.configPath(), err)
	}
	return c, nil
}

// Find returns a context by name, or the current one if name is empty.
func (c Config) Find(name string) (Context, error) {
	wanted := name
	if wanted == "" {
		wanted = c.CurrentContext
	}
	for _, context := range c.Contexts {
		if context.Name == wanted {
			return context, nil
		}
	}
	if name == "" {
		return Context{}, ErrNotLoggedIn
	}
	return Context{}, &UnknownContextError{name}
}

// CheckName returns an error unless a context may have this name.
func CheckName(name string) error {
	if !contextName.MatchString(name) {
		return errors.New("--context must be 1 to 63 letters, digits, dots, dashes, underscores or @, and begin with a letter or a digit")
	}
	return nil
}

// Put stores a context, and makes it the current one.
func (s Store) Put(context Context) error {
	if err := CheckName(context.Name); err != nil {
		return err
	}
	return s.edit(func(c *Config) {
		c.CurrentContext = context.Name
		for i := range c.Contexts {
			if c.Contexts[i].Name == context.Name {
				c.Contexts[i] = context
				return
			}
		}
		c.Contexts = append(c.Contexts, context)
	})
}

// Use makes a context the current one.
func (s Store) Use(name string) error {
	c, err := s.Config()
	if err != nil {
		return err
	}
	if _, err := c.Find(name); err != nil {
		return err
	}
	return s.edit(func(c *Config) { c.CurrentContext = name })
}

// edit changes config.yaml. No change of another process is lost.
func (s Store) edit(change func(*Config)) error {
	return s.locked("config.lock", func() error {
		c, err := s.Config()
		if err != nil {
			return err
		}
		change(&c)
		text, err := yaml.Marshal(c)
		if err != nil {
			return fmt.Errorf("encode the contexts: %w", err)
		}
		return WriteSecret(s.configPath(), text)
	})
}

// Token returns the token of a context, or ErrNotLoggedIn if there is none.
func (s Store) Token(context string) (Token, error) {
	var t Token
	text, err := readLimited(s.tokenPath(context))
	if errors.Is(err, fs.ErrNotExist) {
		return t, ErrNotLoggedIn
	}
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text, &t); err != nil || t.Token == "" {
		return t, fmt.Errorf("%s: not the file of a token; run: gatehouse login", s.tokenPath(context))
	}
	return t, nil
}

// PutToken stores the token of a context.
func (s Store) PutToken(context string, t Token) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode the token: %w", err)
	}
	return WriteSecret(s.tokenPath(context), append(text, '\n'))
}

// Forget removes the token of a context. The context stays, so that the next login needs no address.
func (s Store) Forget(context string) error {
	err := os.Remove(s.tokenPath(context))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// WithTokenLock calls f while no other process renews or replaces the token of this context.
func (s Store) WithTokenLock(context string, f func() error) error {
	return s.locked(filepath.Join("tokens", context+".lock"), f)
}

// locked calls f while this process alone holds the lock.
func (s Store) locked(name string, f func() error) error {
	path := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	err := f()
	return errors.Join(err, lock.Unlock())
}

func (s Store) configPath() string { return filepath.Join(s.Dir, "config.yaml") }

func (s Store) tokenPath(context string) string {
	return filepath.Join(s.Dir, "tokens", context+".json")
}
