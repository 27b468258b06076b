package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/config/crd"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// DefaultNamespace is the namespace of objects that do not name one.
const DefaultNamespace = "gatehouse-users"

// Schema accepts and refuses objects of one resource as an API server with the CRD does: it applies the same schema,
// from the same file, in the same order of steps. It is safe for concurrent use.
type Schema struct {
	structural *schema.Structural
	validator  schemavalidation.SchemaValidator
	rules      *cel.Validator
}

// NewSchema compiles the schema of the CRD of a resource, such as "users", that is embedded
// in this program.
func NewSchema(resource string) (*Schema, error) {
	raw, err := crd.Bases.ReadFile("bases/auth.gatehouse.dev_" + resource + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("read the definition of %s: %w", resource, err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(raw, &definition); err != nil {
		return nil, fmt.Errorf("read the definition of %s: %w", resource, err)
	}
	for _, v := range definition.Spec.Versions {
		if v.Name == authv1alpha1.GroupVersion.Version {
			return compileSchema(v.Schema.OpenAPIV3Schema)
		}
	}
	return nil, fmt.Errorf("the definition of %s has no version %s", resource, authv1alpha1.GroupVersion.Version)
}

func compileSchema(props *apiextensionsv1.JSONSchemaProps) (*Schema, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, internal, nil); err != nil {
		return nil, fmt.Errorf("convert the schema: %w", err)
	}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	validator, _, err := schemavalidation.NewSchemaValidator(internal)
	if err != nil {
		return nil, fmt.Errorf("compile the schema: %w", err)
	}
	return &Schema{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// user converts a decoded object to a User, or returns the errors for which the API server would
// refuse it. It ignores the status. It modifies object, which the caller must not use again.
func (s *Schema) user(object map[string]any) (*authv1alpha1.User, field.ErrorList) {
	delete(object, "status")
	meta, errs := s.coerce(object)
	if meta == nil {
		return nil, errs
	}
	errs = append(errs, s.validate(object)...) // so that every fault shows at once
	if len(errs) > 0 {
		return nil, append(errs, validateMeta(meta)...)
	}
	delete(object, "metadata") // already decoded
	user, err := decodeUser(object)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(nil, nil, err.Error())}
	}
	if fault := stored.Fault(user); fault != "" { // the schema lets something through that the type cannot hold
		return nil, field.ErrorList{field.Invalid(field.NewPath("spec"), nil, fault)}
	}
	user.ObjectMeta = metav1.ObjectMeta{
		Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, CreationTimestamp: meta.CreationTimestamp,
	}
	if user.Generation, err = generation(object["spec"]); err != nil {
		errs = field.ErrorList{field.Invalid(field.NewPath("spec"), nil, err.Error())}
	}
	return user, append(errs, validateMeta(meta)...)
}

func decodeUser(object map[string]any) (*authv1alpha1.User, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	return stored.DecodeUser(raw)
}

// read converts a decoded object to a Revocation or a Tenant, as user does for a User.
func (s *Schema) read(object map[string]any, into metav1.Object) field.ErrorList {
	delete(object, "status")
	meta, errs := s.coerce(object)
	if len(errs) == 0 {
		errs = s.validate(object)
	}
	if len(errs) > 0 {
		return errs
	}
	delete(object, "metadata") // already decoded
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, into); err != nil {
		return field.ErrorList{field.Invalid(nil, nil, err.Error())}
	}
	into.SetNamespace(meta.Namespace)
	into.SetName(meta.Name)
	return validateMeta(meta)
}

// generation returns a digest of a spec in the place of an API server's counter: it changes if and
// only if the spec changes.
func generation(spec any) (int64, error) {
	raw, err := json.Marshal(spec) // sorts the fields
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(raw)
	return int64(binary.BigEndian.Uint64(sum[:]) >> 1), nil // #nosec G115 -- 63 bits
}

// coerce does to object what an API server does when it decodes a request: it refuses unknown
// fields, as kubectl requests, drops nulls and sets defaults. It returns the metadata.
func (s *Schema) coerce(object map[string]any) (*metav1.ObjectMeta, field.ErrorList) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, field.ErrorList{field.Invalid(field.NewPath("metadata"), nil, err.Error())}
	}
	if !found {
		meta = &metav1.ObjectMeta{}
	}
	if meta.Namespace == "" {
		meta.Namespace = DefaultNamespace
	}
	pruned := pruning.PruneWithOptions(object, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var errs field.ErrorList
	for _, path := range append(unknown, pruned...) {
		errs = append(errs, &field.Error{Type: field.ErrorTypeForbidden, Field: path, Detail: "unknown field"})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	defaulting.Default(object, s.structural)
	return meta, errs
}

// validate does what an API server does when it validates a request. The CEL rules come last,
// because they may rely on the schema. A cost budget bounds them, so there is nothing to cancel.
func (s *Schema) validate(object map[string]any) field.ErrorList {
	errs := schemavalidation.ValidateCustomResource(nil, object, s.validator)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(errs) > 0 || s.rules == nil {
		return errs
	}
	errs, _ = s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	return errs
}

func validateMeta(meta *metav1.ObjectMeta) field.ErrorList {
	return validation.ValidateObjectMeta(meta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// finishSecret sets the default namespace of a decoded Secret, validates its metadata and keys, and
// merges its stringData into its data.
func finishSecret(secret *corev1.Secret) field.ErrorList {
	if secret.Namespace == "" {
		secret.Namespace = DefaultNamespace
	}
	errs := validateMeta(&secret.ObjectMeta)
	errs = append(errs, validateKeys("data", maps.Keys(secret.Data))...)
	errs = append(errs, validateKeys("stringData", maps.Keys(secret.StringData))...)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for key, value := range secret.StringData {
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
	return errs
}

func validateKeys(name string, keys iter.Seq[string]) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(keys) {
		for _, problem := range utilvalidation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(field.NewPath(name).Key(key), nil, problem))
		}
	}
	return errs
}

// describeField formats an error about a field. It leaves out the value, which may be a password in
// the wrong place.
func describeField(err *field.Error) string {
	words := []string{err.Field, string(err.Type.String()), err.Detail}
	if err.Type == field.ErrorTypeForbidden && err.Detail != "" {
		words[1] = ""
	}
	var parts []string
	for _, word := range words {
		if word != "" && word != "<nil>" {
			parts = append(parts, strings.TrimPrefix(word, err.Field+" "))
		}
	}
	return strings.Join(parts, ": ")
}
