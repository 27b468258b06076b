// Package manifest turns the bytes of a folder into Users and Secrets, and into faults with file and line. It knows no store and no
// directory.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// Key names an object among all manifests. The zero Key names none.
type Key struct {
	Kind, Namespace, Name string
}

// String is the way people are told: User gatehouse-users/alice.
func (k Key) String() string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// DirectoryKey is the key of a User in the directory.
func (k Key) DirectoryKey() string { return k.Namespace + "/" + k.Name }

// UserKey is the key of the User with a key in the directory.
func UserKey(directoryKey string) Key {
	namespace, name, _ := strings.Cut(directoryKey, "/")
	return Key{"User", namespace, name}
}

// Object is a User or a Secret that a manifest declares. It is immutable.
type Object struct {
	Key    Key
	Line   int // from 1, within the document
	User   *authv1alpha1.User
	Secret *corev1.Secret
}

// Fault is something in a manifest that cannot be used, or that is not for this service.
type Fault struct {
	Key     Key    // zero: what it is about cannot be told
	Line    int    // as in object
	Message string // holds no value
	Foreign bool   // no error: an object of a kind that is ignored
}

// Document is one document of a file, read. It is immutable.
type Document struct {
	objects []Object
	faults  []Fault
}

// section is the text of one document, and the line of the file it begins at, from 1.
type section struct {
	text []byte
	line int
}

// splitYAML cuts a file into its documents, each with the marker it begins with. A marker is three dashes at the beginning of a
// line, in the middle of a scalar too (YAML 1.2, 9.1.2), so nothing has to be parsed.
func splitYAML(text []byte) []section {
	var out []section
	begin, beginLine, at, line := 0, 1, 0, 0
	for l := range bytes.Lines(text) {
		line++
		if isMarker(l) && at > begin {
			out = append(out, section{text[begin:at], beginLine})
			begin, beginLine = at, line
		}
		at += len(l)
	}
	return append(out, section{text[begin:], beginLine})
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// splitJSON cuts a file into its values. What cannot be read as one is the last section.
func splitJSON(text []byte) []section {
	var out []section
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		before := decoder.InputOffset()
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return append(out, section{text[before:], lineAt(text, before)})
		}
		out = append(out, section{raw, lineAt(text, decoder.InputOffset()-int64(len(raw)))})
	}
}

func lineAt(text []byte, offset int64) int { return bytes.Count(text[:offset], []byte("\n")) + 1 }

// reader reads documents. It is safe for concurrent use.
type reader struct {
	schema *Schema
}

// document reads one document in YAML or JSON.
func (r reader) document(text []byte, isJSON bool) *Document {
	raw := text
	if !isJSON {
		var err error
		if raw, err = yaml.YAMLToJSONStrict(text); err != nil {
			return faulty(yamlFault(err, text))
		}
	}
	if bytes.Equal(raw, []byte("null")) {
		return &Document{}
	}
	d := &Document{}
	var h head
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &h); err != nil {
		d.fail(Fault{Line: firstLine(text), Message: "it is no object with apiVersion, kind and metadata: " + err.Error()})
	} else if strings.HasSuffix(h.Kind, "List") {
		r.list(d, text, h.Items)
	} else {
		r.object(d, h, text, raw)
	}
	return d
}

// list reads the objects of a list, such as kubectl get prints. A list in a list is an object of another kind.
func (r reader) list(d *Document, text []byte, items []json.RawMessage) {
	for _, item := range items {
		var h head
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, &h); err != nil {
			d.fail(Fault{Line: firstLine(text), Message: "an item of the list is no object with apiVersion, kind and metadata: " + err.Error()})
			continue
		}
		r.object(d, h, text, item)
	}
}

// head is what tells one object from another.
type head struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"` // of a list
}

func (h head) key() Key {
	if h.Metadata.Namespace == "" {
		return Key{h.Kind, DefaultNamespace, h.Metadata.Name}
	}
	return Key{h.Kind, h.Metadata.Namespace, h.Metadata.Name}
}

// object reads one JSON object into d. text is the whole document, for the numbers of lines.
func (r reader) object(d *Document, h head, text, raw []byte) {
	key := h.key()
	switch group := h.GroupVersionKind().Group; {
	case h.Kind == "" || h.APIVersion == "":
		d.fail(Fault{Line: firstLine(text), Message: noKind})
	case group == authv1alpha1.Group && h.Kind == "User" && h.APIVersion != authv1alpha1.GroupVersion.String():
		d.fail(Fault{Key: key, Line: firstLine(text), Message: "apiVersion must be " + authv1alpha1.GroupVersion.String()})
	case group == authv1alpha1.Group && h.Kind == "User":
		r.user(d, key, text, raw)
	case h.APIVersion == "v1" && h.Kind == "Secret":
		r.secret(d, key, text, raw)
	case h.Kind != "Namespace" && h.Kind != "Kustomization":
		d.fail(Fault{Key: key, Line: firstLine(text), Foreign: true, Message: "only Users and Secrets are read here; it is ignored"})
	}
}

const noKind = `it has no apiVersion and kind; a User begins with "apiVersion: ` + authv1alpha1.Group + `/v1alpha1" and "kind: User"`

func (r reader) user(d *Document, key Key, text, raw []byte) {
	var decoded map[string]any
	duplicates, err := kjson.UnmarshalStrict(raw, &decoded)
	if err = errors.Join(append(duplicates, err)...); err != nil {
		d.fail(Fault{Key: key, Line: firstLine(text), Message: err.Error()})
		return
	}
	user, errs := r.schema.user(decoded)
	if len(errs) > 0 {
		d.refuse(key, text, errs)
		return
	}
	d.objects = append(d.objects, Object{Key: key, Line: firstLine(text), User: user})
}

func (r reader) secret(d *Document, key Key, text, raw []byte) {
	secret := &corev1.Secret{}
	unknown, err := kjson.UnmarshalStrict(raw, secret)
	if err = errors.Join(append(unknown, err)...); err != nil {
		message := err.Error()
		if strings.Contains(message, "cannot unmarshal") {
			message += "; a value that looks like a number or like yes and no must be in quotes"
		}
		d.fail(Fault{Key: key, Line: firstLine(text), Message: message})
		return
	}
	if errs := finishSecret(secret); len(errs) > 0 {
		d.refuse(key, text, errs)
		return
	}
	if _, err := projection.SlimSecret(secret); err != nil {
		d.fail(Fault{Key: key, Line: firstLine(text), Message: err.Error()})
		return
	}
	d.objects = append(d.objects, Object{Key: key, Line: firstLine(text), Secret: secret})
}

// fail enters a fault. An object without a name is none that could be told from others.
func (d *Document) fail(f Fault) {
	if f.Key.Name == "" {
		f.Key = Key{}
	}
	d.faults = append(d.faults, f)
}

// refuse reports what a schema says about an object, each with the line of the field.
func (d *Document) refuse(key Key, text []byte, errs field.ErrorList) {
	find := fieldLines(text)
	for _, err := range errs {
		d.fail(Fault{Key: key, Line: find(err.Field), Message: describeField(err)})
	}
}

func faulty(f Fault) *Document { return &Document{faults: []Fault{f}} }

// lineInMessage finds the line of the document that a YAML parser complains about.
var lineInMessage = regexp.MustCompile(`line (\d+): `)

// yamlFault takes the line out of what the YAML parser says about a text, since the line of the file is another one. To YAML a
// line also ends with characters that no editor counts, so the line may be one that the text has not.
func yamlFault(err error, text []byte) Fault {
	message, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if found := lineInMessage.FindStringSubmatch(message); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			line = min(n, lineAt(text, int64(len(text))))
		}
		message = lineInMessage.ReplaceAllString(message, "")
	}
	message = strings.ReplaceAll(strings.TrimPrefix(message, "unmarshal errors:\n  "), "\n  ", "; ")
	return Fault{Line: line, Message: fmt.Sprintf("it is no YAML: %s", message)}
}
