package projection

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Identities returns the identities of a User as the directory holds them. An entry of the schema
// that has neither form matches no token.
func Identities(u *authv1alpha1.User) []directory.Identity {
	if len(u.Spec.Identities) == 0 {
		return nil
	}
	out := make([]directory.Identity, len(u.Spec.Identities))
	for i, spec := range u.Spec.Identities {
		switch {
		case spec.ServiceAccount != nil && spec.Federated == nil:
			out[i] = directory.Identity{
				Issuer:  directory.ClusterIssuer,
				Subject: "system:serviceaccount:" + spec.ServiceAccount.Namespace + ":" + spec.ServiceAccount.Name,
			}
		case spec.Federated != nil && spec.ServiceAccount == nil:
			out[i] = federated(spec.Federated)
		}
	}
	return out
}

func federated(spec *authv1alpha1.FederatedIdentity) directory.Identity {
	identity := directory.Identity{Issuer: Intern(spec.Issuer), Subject: spec.Subject}
	if len(spec.Claims) > 0 {
		identity.Claims = map[string]string{}
		for name, value := range spec.Claims {
			identity.Claims[Intern(name)] = string(value)
		}
	}
	return identity
}

// IdentityNames returns the keys under which an index finds the Users who claim the same identities
// as u, and maybe further ones.
func IdentityNames(u *authv1alpha1.User) []string {
	var names []string
	for _, identity := range Identities(u) {
		names = append(names, identity.Issuer+"\x00"+identity.Subject)
	}
	return names
}

// identityConflict returns the condition about identities that other Users hold.
func (s Status) identityConflict() metav1.Condition {
	var remarks []string
	for _, c := range s.IdentityConflicts {
		remarks = append(remarks, fmt.Sprintf("identities[%d] (%s) belongs to %s", c.Index, DescribeIdentity(s.Projection.User.Identities[c.Index]),
			strings.TrimSuffix(s.describeHolder(c.Holder), ",")))
	}
	return remarkCondition(authv1alpha1.ConditionIdentityConflict, authv1alpha1.ReasonIdentityConflict, remarks,
		"; remove it from one of the two Users. Passwords and the other identities still work")
}

// identityUntrusted returns the condition about identities that no trusted issuer can prove.
func (s Status) identityUntrusted() metav1.Condition {
	var remarks []string
	for i, identity := range s.Projection.User.Identities {
		if s.Trusts != nil && !s.Trusts(identity.Issuer) {
			remarks = append(remarks, fmt.Sprintf("identities[%d] (%s)", i, DescribeIdentity(identity)))
		}
	}
	return remarkCondition(authv1alpha1.ConditionIdentityUntrusted, authv1alpha1.ReasonIssuerNotTrusted, remarks,
		": the issuer is not trusted; add it to the file of --trusted-issuers, or serve the cluster that the ServiceAccount belongs to")
}

// DescribeIdentity names an identity for people.
func DescribeIdentity(identity directory.Identity) string {
	if identity.Issuer == directory.ClusterIssuer {
		return strings.TrimPrefix(identity.Subject, "system:")
	}
	return fmt.Sprintf("%q of %s", identity.Subject, identity.Issuer)
}
