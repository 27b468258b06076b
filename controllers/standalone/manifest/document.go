// Package manifest reads Users and Secrets from the files of a folder, and reports what it cannot
// use as faults with file and line. It depends on neither the state folder nor the directory of
// users.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// Key identifies an object among all manifests. The zero Key identifies none.
type Key struct {
	Kind, Namespace, Name string
}

// String returns the key as it is shown to people: User gatehouse-users/alice.
func (k Key) String() string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// DirectoryKey returns the key of a User in the directory: gatehouse-users/alice.
func (k Key) DirectoryKey() string { return k.Namespace + "/" + k.Name }

// UserKey returns the Key of the User that has directoryKey in the directory.
func UserKey(directoryKey string) Key {
	namespace, name, _ := strings.Cut(directoryKey, "/")
	return Key{"User", namespace, name}
}

// Object is a User, a Secret, a Revocation or a Tenant that a manifest declares: exactly one of them is
// set. It is immutable.
type Object struct {
	Key    Key
	Line   int // from 1; within the document in a Document, within the file in a File
	User   *authv1alpha1.User
	Secret *corev1.Secret

	Revocation *authv1alpha1.Revocation
	Tenant     *authv1alpha1.Tenant
	ReadAt     time.Time // when this version was read
}

// Fault is something in a manifest that cannot be used, or that is not for this service.
type Fault struct {
	Key     Key    // zero if the object at fault is unknown
	Line    int    // as in Object
	Column  int    // from 1; 0 if unknown
	Message string // never quotes a value, which may be a password
	Foreign bool   // not an error: an object of a kind that is ignored
}

// Document is one document of a file after it was read. It is immutable.
type Document struct {
	objects      []Object
	faults       []Fault
	restrictions map[Key]Restrictions // of rejected Users
}

// section is the text of one document.
type section struct {
	text []byte
	line int // of the file at which the text begins, from 1
}

// splitYAML splits a file into its documents, each of which keeps the marker that begins it. A
// marker is three dashes at the beginning of a line, even in the middle of a scalar (YAML 1.2,
// 9.1.2), so nothing has to be parsed.
func splitYAML(text []byte) []section {
	var sections []section
	begin, beginLine, offset, lineNumber := 0, 1, 0, 0
	for line := range bytes.Lines(text) {
		lineNumber++
		if isMarker(line) && offset > begin {
			sections = append(sections, section{text[begin:offset], beginLine})
			begin, beginLine = offset, lineNumber
		}
		offset += len(line)
	}
	return append(sections, section{text[begin:], beginLine})
}

// splitJSON splits a file into its values. Text that is not valid JSON is the last section.
func splitJSON(text []byte) []section {
	var sections []section
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		before := decoder.InputOffset()
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return sections
		}
		if err != nil {
			return append(sections, section{text[before:], lineAt(text, before)})
		}
		sections = append(sections, section{raw, lineAt(text, decoder.InputOffset()-int64(len(raw)))})
	}
}

// reader reads documents. It is safe for concurrent use.
type reader struct {
	users, revocations, tenants *Schema
	isJSON                      bool // else YAML
}

func newReader() (reader, error) {
	users, err := NewSchema("users")
	if err != nil {
		return reader{}, err
	}
	revocations, err := NewSchema("revocations")
	if err != nil {
		return reader{}, err
	}
	tenants, err := NewSchema("tenants")
	return reader{users: users, revocations: revocations, tenants: tenants}, err
}

// document reads one document in YAML or JSON.
func (r reader) document(text []byte) *Document {
	raw := text
	if !r.isJSON {
		var err error
		if raw, err = yaml.YAMLToJSONStrict(text); err != nil {
			d := &Document{faults: []Fault{yamlFault(err, text)}}
			if key, restrictions, ok := scanRestrictions(text); ok {
				d.restrictions = map[Key]Restrictions{key: restrictions}
			}
			return d
		}
	}
	if bytes.Equal(raw, []byte("null")) {
		return &Document{}
	}
	d := &Document{}
	var h head
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &h); err != nil {
		d.fail(Fault{Line: firstLine(text), Message: "not an object with apiVersion, kind and metadata: " + err.Error()})
	} else if strings.HasSuffix(h.Kind, "List") {
		r.list(d, text, h.Items)
	} else {
		r.object(d, h, text, raw)
	}
	return d
}

// list reads the objects of a List, as kubectl get prints it, into d. A List within a List counts
// as an object of another kind.
func (r reader) list(d *Document, text []byte, items []json.RawMessage) {
	for _, item := range items {
		var h head
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, &h); err != nil {
			d.fail(Fault{Line: firstLine(text), Message: "an item of the list is not an object with apiVersion, kind and metadata: " + err.Error()})
			continue
		}
		r.object(d, h, text, item)
	}
}

// head is the part of an object that identifies it.
type head struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"` // of a List
}

func (h head) key() Key {
	if h.Metadata.Namespace == "" {
		return Key{h.Kind, DefaultNamespace, h.Metadata.Name}
	}
	return Key{h.Kind, h.Metadata.Namespace, h.Metadata.Name}
}

// object reads one JSON object into d. It takes line numbers from text, the whole document.
func (r reader) object(d *Document, h head, text, raw []byte) {
	key := h.key()
	isOurs := h.GroupVersionKind().Group == authv1alpha1.Group && (h.Kind == "User" || h.Kind == "Revocation" || h.Kind == "Tenant")
	switch {
	case h.Kind == "" || h.APIVersion == "":
		d.fail(Fault{Line: firstLine(text), Message: noKind})
	case isOurs && h.APIVersion != authv1alpha1.GroupVersion.String():
		d.keepRestrictions(key, raw)
		d.fail(Fault{Key: key, Line: firstLine(text), Message: "apiVersion must be " + authv1alpha1.GroupVersion.String()})
	case isOurs:
		r.own(d, key, text, raw)
	case h.APIVersion == "v1" && h.Kind == "Secret":
		r.secret(d, key, text, raw)
	case h.Kind != "Namespace" && h.Kind != "Kustomization":
		d.fail(Fault{Key: key, Line: firstLine(text), Foreign: true, Message: "ignored: only Users, Secrets and Revocations are read from manifests"})
	}
}

const noKind = `apiVersion and kind are missing; a User begins with "apiVersion: ` + authv1alpha1.Group + `/v1alpha1" and "kind: User"`

// own reads a User, a Revocation or a Tenant.
func (r reader) own(d *Document, key Key, text, raw []byte) {
	var decoded map[string]any
	duplicates, err := kjson.UnmarshalStrict(raw, &decoded)
	if err = errors.Join(append(duplicates, err)...); err != nil {
		d.keepRestrictions(key, raw)
		d.fail(Fault{Key: key, Line: firstLine(text), Message: err.Error()})
		return
	}
	o, errs := Object{Key: key, Line: firstLine(text)}, field.ErrorList(nil)
	switch key.Kind {
	case "User":
		o.User, errs = r.users.user(decoded)
	case "Tenant":
		o.Tenant = &authv1alpha1.Tenant{}
		errs = r.tenants.read(decoded, o.Tenant)
	default:
		o.Revocation = &authv1alpha1.Revocation{}
		errs = r.revocations.read(decoded, o.Revocation)
	}
	if len(errs) > 0 {
		d.keepRestrictions(key, raw)
		d.refuse(key, text, errs)
		return
	}
	d.objects = append(d.objects, o)
}

func (r reader) secret(d *Document, key Key, text, raw []byte) {
	secret := &corev1.Secret{}
	unknown, err := kjson.UnmarshalStrict(raw, secret)
	if err = errors.Join(append(unknown, err)...); err != nil {
		message := err.Error()
		if strings.Contains(message, "cannot unmarshal") {
			message += "; quote a value that looks like a number or a boolean"
		}
		d.fail(Fault{Key: key, Line: firstLine(text), Message: message})
		return
	}
	if errs := finishSecret(secret); len(errs) > 0 {
		d.refuse(key, text, errs)
		return
	}
	projection.SlimSecret(secret)
	d.objects = append(d.objects, Object{Key: key, Line: firstLine(text), Secret: secret})
}

// keepRestrictions notes the restrictions of a rejected User.
func (d *Document) keepRestrictions(key Key, raw []byte) {
	if r := restrictionsOf(raw); r != (Restrictions{}) {
		if d.restrictions == nil {
			d.restrictions = map[Key]Restrictions{}
		}
		d.restrictions[key] = r
	}
}

// fail adds a fault. A fault of an object without a name gets the zero Key, because nothing tells
// that object from others.
func (d *Document) fail(f Fault) {
	if f.Key.Name == "" {
		f.Key = Key{}
	}
	d.faults = append(d.faults, f)
}

// refuse adds a fault for each error of the schema, with the line of the field.
func (d *Document) refuse(key Key, text []byte, errs field.ErrorList) {
	find := fieldPositions(text)
	for _, err := range errs {
		at := find(err.Field)
		d.fail(Fault{Key: key, Line: at.Line, Column: at.Column, Message: describeField(err)})
	}
}

// lineInMessage matches the line number in a message of the YAML parser.
var lineInMessage = regexp.MustCompile(`line (\d+): `)

// yamlFault turns an error of the YAML parser into a Fault. It moves the line number from the
// message to Line, because the parser counts from the document and people count from the file. For
// YAML a line also ends with characters that no editor counts, so Line is capped at the last line
// of the text.
func yamlFault(err error, text []byte) Fault {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := lineInMessage.FindStringSubmatch(message); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			line = min(n, lineAt(text, int64(len(text))))
		}
		message = lineInMessage.ReplaceAllString(message, "")
	}
	message = strings.ReplaceAll(strings.TrimPrefix(message, "unmarshal errors:\n  "), "\n  ", "; ")
	return Fault{Line: line, Message: "not valid YAML: " + message}
}
