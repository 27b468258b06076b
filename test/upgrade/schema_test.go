package upgrade

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// tightened returns where a definition refuses or changes what an earlier one accepts, as sentences that
// begin with a path. A keyword that it does not know must be the same in both.
func tightened(before, after map[string]any) []string {
	var found []string
	for _, field := range []string{"group", "scope", "names", "conversion", "preserveUnknownFields"} {
		found = append(found, same("spec."+field, at(before, "spec", field), at(after, "spec", field))...)
	}
	later := versions(after)
	for _, version := range slices.Sorted(maps.Keys(versions(before))) {
		old, current := versions(before)[version], later[version]
		if current == nil || at(old, "served") == true && at(current, "served") != true {
			found = append(found, version+": is no longer served")
			continue
		}
		for _, field := range []string{"storage", "subresources"} {
			found = append(found, same(version+"."+field, old[field], current[field])...)
		}
		found = append(found, schema(version, asMap(at(old, "schema", "openAPIV3Schema")), asMap(at(current, "schema", "openAPIV3Schema")))...)
	}
	return found
}

func versions(definition map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, v := range asList(at(definition, "spec", "versions")) {
		out[fmt.Sprint(at(asMap(v), "name"))] = asMap(v)
	}
	return out
}

// schema compares two schemas of one place, keyword by keyword.
func schema(path string, before, after map[string]any) []string {
	keywords := maps.Clone(before)
	maps.Copy(keywords, after)
	var found []string
	for _, word := range slices.Sorted(maps.Keys(keywords)) {
		found = append(found, keyword(path, word, before[word], after[word])...)
	}
	return found
}

func keyword(path, word string, before, after any) []string {
	switch word {
	case "description", "title", "example", "externalDocs":
		return nil
	case "properties":
		return properties(path, asMap(before), asMap(after))
	case "items", "additionalProperties":
		if asMap(before) != nil && asMap(after) != nil {
			return schema(path+"["+word+"]", asMap(before), asMap(after))
		}
	case "required":
		return added(path, "the field %s is required now", after, before)
	case "enum":
		if after == nil {
			return nil
		}
		if before != nil {
			return added(path, "the value %s is not accepted any more", before, after)
		}
	case "x-kubernetes-validations":
		return added(path, "the rule %s is new", rules(after), rules(before))
	case "pattern", "format":
		if after == nil {
			return nil
		}
	case "maximum", "maxLength", "maxItems", "maxProperties":
		return limit(path, word, before, after, func(b, a float64) bool { return a >= b })
	case "minimum", "minLength", "minItems", "minProperties":
		return limit(path, word, before, after, func(b, a float64) bool { return a <= b })
	}
	return same(path+" "+word, before, after)
}

// properties compares the fields that both have. A new one is optional unless required says otherwise.
func properties(path string, before, after map[string]any) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == nil {
			found = append(found, path+"."+name+": the field is gone")
			continue
		}
		found = append(found, schema(path+"."+name, asMap(before[name]), asMap(after[name]))...)
	}
	return found
}

// added says which elements of a list another one lacks.
func added(path, format string, list, than any) []string {
	var found []string
	for _, e := range asList(list) {
		if !slices.ContainsFunc(asList(than), func(o any) bool { return reflect.DeepEqual(e, o) }) {
			found = append(found, path+": "+fmt.Sprintf(format, fmt.Sprint(e)))
		}
	}
	return found
}

// rules returns the rules of a list of validations, without their messages.
func rules(validations any) any {
	list := asList(validations)
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = at(asMap(v), "rule")
	}
	return out
}

func limit(path, word string, before, after any, loose func(before, after float64) bool) []string {
	a, limited := after.(float64)
	b, wasLimited := before.(float64)
	if !limited || wasLimited && loose(b, a) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s was %v and is %v", path, word, before, after)}
}

func same(what string, before, after any) []string {
	if reflect.DeepEqual(before, after) {
		return nil
	}
	return []string{fmt.Sprintf("%s: was %v and is %v", what, before, after)}
}

// at returns what is at a path of maps, or nil.
func at(in map[string]any, path ...string) any {
	var value any = in
	for _, name := range path {
		value = asMap(value)[name]
	}
	return value
}

func asMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

// place returns the schema at a path such as spec.login, for tests that change it.
func place(t *testing.T, definition map[string]any, path string) map[string]any {
	t.Helper()
	s := asMap(at(versions(definition)["v1alpha1"], "schema", "openAPIV3Schema"))
	for name := range strings.SplitSeq(path, ".") {
		if name == "[]" {
			s = asMap(s["items"])
		} else {
			s = asMap(at(s, "properties", name))
		}
		if s == nil {
			t.Fatalf("the schema has no %s", path)
		}
	}
	return s
}

func asList(value any) []any {
	l, _ := value.([]any)
	return l
}
