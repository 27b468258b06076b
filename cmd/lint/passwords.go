package lint

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// examinePasswords applies the rules about the passwords of a User.
func (l *linter) examinePasswords(u located) {
	for i := range u.User.Spec.Passwords {
		l.examinePassword(u, i)
	}
	if len(u.User.Spec.Passwords)+len(u.User.Spec.Identities) == 0 {
		l.report(u, "spec", RuleNoPassword.warning("the user has neither a password nor an identity and cannot log in; add an entry to spec.passwords or spec.identities"))
	}
}

func (l *linter) examinePassword(u located, i int) {
	p := &u.User.Spec.Passwords[i]
	path := fmt.Sprintf("spec.passwords[%d]", i)
	if p.ExpiresAt != nil && !p.ExpiresAt.After(l.Now) {
		l.report(u, path+".expiresAt", RuleExpired.warning("this password has expired; remove the entry"))
	}
	ref := p.Source()
	if ref == nil {
		return // the schema refuses it
	}
	key := secretKey(u, ref.Name)
	l.used[key] = true
	field := path + ".hashFrom.secretKeyRef"
	if p.PlaintextFrom != nil {
		field = path + ".plaintextFrom.secretKeyRef"
	}
	secret := l.secret(key)
	if secret == nil {
		l.reportMissing(u, field, ref.Name)
		return
	}
	l.examineValue(u, i, field, secret)
	if p.PlaintextFrom != nil && len(secret.Data[ref.Key]) > 0 {
		l.report(l.secrets[key], "metadata.name", RulePlaintext.warning(fmt.Sprintf("the password in key %q stands in the manifests in plain text; "+
			"keep it in a SealedSecret or an ExternalSecret, or store its hash", ref.Key)))
	}
}

// reportMissing reports a Secret that no manifest declares, unless another controller or kustomize
// makes it.
func (l *linter) reportMissing(u located, field, name string) {
	if l.made[secretKey(u, name)] || l.generated[name] {
		return
	}
	l.report(u, field+".name", RuleMissingSecret.warning(fmt.Sprintf("no manifest declares Secret %q in namespace %s, "+
		"and no SealedSecret, ExternalSecret or secretGenerator makes it", name, u.Key.Namespace)))
}

// examineValue resolves one password as the service does, and reports what the service would.
func (l *linter) examineValue(u located, i int, field string, secret *corev1.Secret) {
	alone := *u.User
	alone.Spec.Passwords = u.User.Spec.Passwords[i : i+1]
	out := l.projector.Project(&alone, func(string) *corev1.Secret { return secret })
	for _, problem := range out.Problems {
		rule := RuleInvalidPassword
		if problem.Reason == authv1alpha1.ReasonSecretKeyNotFound {
			rule, field = RuleMissingSecretKey, field+".key"
		}
		l.report(u, field, rule.error(afterPrefix(problem.Message)))
	}
	for _, weak := range out.Weak {
		l.report(u, field, RuleWeakHash.warning(afterPrefix(weak)+"; replace the hash with one from gatehouse hash-password"))
	}
	for _, newline := range out.Newlines {
		l.report(u, field, RuleInvalidPassword.warning(afterPrefix(newline)+": the password ends in a newline, which clients must send too"))
	}
}

// entryPrefix matches the entry that a message of the projection begins with.
var entryPrefix = regexp.MustCompile(`^passwords\[[^\]]*\]:? `)

// afterPrefix returns a message without the entry that it begins with, whose position a finding has.
func afterPrefix(message string) string { return entryPrefix.ReplaceAllString(message, "") }
