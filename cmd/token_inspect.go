package cmd

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
	"github.com/gatehouse-auth/gatehouse/cmd/remote"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// newTokenInspectCommand returns the command that shows what is in a token.
func newTokenInspectCommand(version string) *cobra.Command {
	o := &connectionOptions{version: version}
	var (
		out     output.Flag
		offline bool
	)
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what is in a token, and whether the service accepts it",
		Long: "Shows what can be read in the token of the context, or in that of --token-file, and asks the service whether it accepts\n" +
			"the token, and if not, why. A JWT shows its claims and its key; an opaque token shows nothing but its ID.\n" +
			"With --offline the service is not asked, and nothing that is shown has been verified.",
		Example: "  gatehouse token inspect --offline --token-file - < token.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			return o.inspect(cmd, out, offline)
		},
	}
	o.bind(cmd)
	o.bindTokenFile(cmd)
	out.Bind(cmd)
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask the service")
	return cmd
}

// inspected is what gatehouse token inspect prints.
type inspected struct {
	Kind    string         `json:"kind"` // JWT or opaque
	ID      string         `json:"id,omitempty"`
	Header  map[string]any `json:"header,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	Times   []string       `json:"times,omitempty"`
	Active  *bool          `json:"active,omitempty"` // nil if the service was not asked
	Verdict string         `json:"verdict,omitempty"`
}

func (o *connectionOptions) inspect(cmd *cobra.Command, out output.Flag, offline bool) error {
	text, c, err := o.inspectedToken(cmd, offline)
	if err != nil {
		return err
	}
	i := readOffline(text, time.Now())
	if !offline {
		if err := i.ask(cmd, c, text); err != nil {
			return err
		}
	}
	return out.Print(cmd.OutOrStdout(), i, i.table)
}

// inspectedToken returns the token as it is, without a renewal, which would show another one. It
// connects to no service if it is not to be asked.
func (o *connectionOptions) inspectedToken(cmd *cobra.Command, offline bool) (string, *connection, error) {
	if offline && o.tokenFile != "" {
		text, err := readToken(cmd, o.tokenFile)
		return text, nil, err
	}
	c, err := o.connect(cmd)
	if err != nil || c.fixed != "" {
		return c.fixedToken(), c, err
	}
	t, err := c.store.Token(c.context.Name)
	return t.Token, c, err
}

// fixedToken returns the token of --token-file, if there is one.
func (c *connection) fixedToken() string {
	if c == nil {
		return ""
	}
	return c.fixed
}

// readOffline returns what can be read in a token without a key.
func readOffline(text string, now time.Time) inspected {
	parts := strings.Split(text, ".")
	if len(parts) == 3 {
		i := inspected{Kind: "JWT"}
		if decodeSegment(parts[0], &i.Header) == nil && decodeSegment(parts[1], &i.Claims) == nil {
			i.ID, _ = i.Claims["jti"].(string)
			i.Times = claimTimes(i.Claims, now)
			return i
		}
	}
	if id, ok := token.OpaqueID(text); ok {
		return inspected{Kind: "opaque", ID: id}
	}
	return inspected{Kind: "unknown"}
}

// decodeSegment decodes a segment of a JWT (RFC 7515, 2). The input is at most maximumLine long.
func decodeSegment(segment string, out *map[string]any) error {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, out)
}

// claimTimes returns the times among the claims in words.
func claimTimes(claims map[string]any, now time.Time) (times []string) {
	for _, c := range []struct{ claim, past, future string }{
		{"iat", "issued", "issued"}, {"nbf", "valid since", "not valid before"}, {"exp", "ended", "ends"},
	} {
		seconds, ok := claims[c.claim].(float64)
		if !ok || math.Abs(seconds) > 1e11 {
			continue
		}
		t := time.Unix(int64(seconds), 0)
		word := c.past
		if t.After(now) {
			word = c.future
		}
		times = append(times, fmt.Sprintf("%s %s (%s)", word, rfc3339(t), distance(t, now)))
	}
	return times
}

// distance returns how far a time is from now, in words.
func distance(t, now time.Time) string {
	d := t.Sub(now).Round(time.Second)
	if d < 0 {
		return (-d).String() + " ago"
	}
	return "in " + d.String()
}

// ask sets the verdict of the service. Its refusal of the token is a result, not an error.
func (i *inspected) ask(cmd *cobra.Command, c *connection, text string) error {
	info, err := c.Describe(cmd.Context(), text)
	active := err == nil
	switch {
	case err == nil:
		i.Verdict = fmt.Sprintf("accepted: %s is logged in until %s (%s)", info.Login, rfc3339(info.Expires), distance(info.Expires, time.Now()))
	case isVerdict(err):
		i.Verdict = "refused: " + err.Error()
	default:
		return fmt.Errorf("%w; to read the token without the service, use --offline", err)
	}
	i.Active = &active
	return nil
}

// isVerdict reports whether err is what the service says about a token, and not about the request.
func isVerdict(err error) bool {
	return remote.Refused(err) || remote.HasKind(err, "puppetlabs.rbac/invalid-token")
}

func (i inspected) table(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", output.Escape(name), output.Escape(value)) // Flush has the error
		}
	}
	row("Kind", i.Kind)
	row("ID", i.ID)
	for _, name := range sortedKeys(i.Header) {
		row("Header "+name, inline(i.Header[name]))
	}
	for _, name := range sortedKeys(i.Claims) {
		row("Claim "+name, inline(i.Claims[name]))
	}
	for _, t := range i.Times {
		row("Time", t)
	}
	row("Verdict", i.Verdict)
	return table.Flush()
}

func sortedKeys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// inline returns a value as JSON. Whole numbers keep their digits.
func inline(value any) string {
	if f, ok := value.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return fmt.Sprintf("%.0f", f)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}
