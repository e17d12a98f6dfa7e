package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// form checks a configuration against the kinds that its keys take, before it
// is decoded: the YAML library cuts fractions, reads 010 as 8, and takes a key
// with nothing behind it for an absent one. Each of these could open what the
// operator meant to close.
type form struct {
	*validation
	anchors map[string]ast.Node
}

// maxFormDepth bounds aliases that hold themselves.
const maxFormDepth = 16

// wholeNumber leaves 15 digits, which the YAML library keeps exactly even where
// they stand in quotes. Whether a negative one is in its range is for validate.
var wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,14})$`)

func checkForm(v *validation, body ast.Node) {
	f := form{validation: v, anchors: map[string]ast.Node{}}
	ast.Walk(f, body)
	f.check("", reflect.TypeFor[config](), body, 0)
}

// Visit collects what aliases stand for.
func (f form) Visit(node ast.Node) ast.Visitor {
	if anchor, is := node.(*ast.AnchorNode); is {
		f.anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return f
}

func (f form) check(key string, kind reflect.Type, node ast.Node, depth int) {
	if node == nil || depth > maxFormDepth {
		return // the decoder refuses it
	}
	switch wrapped := node.(type) {
	case *ast.AnchorNode:
		f.check(key, kind, wrapped.Value, depth+1)
		return
	case *ast.TagNode:
		if wrapped.Value == nil {
			f.checkNothing(key, kind, node)
			return
		}
		f.check(key, kind, wrapped.Value, depth+1)
		return
	case *ast.AliasNode:
		f.check(key, kind, f.anchors[wrapped.Value.GetToken().Value], depth+1)
		return
	case *ast.NullNode:
		f.checkNothing(key, kind, node)
		return
	}
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if !fits(kind, node) {
		f.refuseMisfit(key, kind, node)
		return
	}
	switch inner := node.(type) {
	case *ast.MappingNode:
		for _, pair := range inner.Values {
			f.checkPair(key, kind, pair, depth)
		}
	case *ast.MappingValueNode:
		f.checkPair(key, kind, inner, depth)
	case *ast.SequenceNode:
		for i, element := range inner.Values {
			f.check(key+"["+strconv.Itoa(i)+"]", kind.Elem(), element, depth+1)
		}
	}
}

// checkNothing refuses a key with nothing behind it where a list is expected,
// and where the presence of a section means something. A section at the top may
// be empty, and so may a plain value: they have their defaults then.
func (f form) checkNothing(key string, kind reflect.Type, node ast.Node) {
	hasMeaning := kind.Kind() == reflect.Pointer
	if hasMeaning {
		kind = kind.Elem()
	}
	switch {
	case key == "":
		f.refuse(key, node, "nothing", expectedKind(kind))
	case kind.Kind() == reflect.Slice:
		f.refuse(key, node, "nothing", "a list, [] for none, or no such key")
	case kind.Kind() == reflect.Struct && strings.HasSuffix(key, "]"):
		f.refuse(key, node, "nothing", expectedKind(kind))
	case kind.Kind() == reflect.Struct && hasMeaning:
		f.refuse(key, node, "nothing", expectedKind(kind)+", or no such key")
	}
}

// refuseMisfit words what is there and what was expected.
func (f form) refuseMisfit(key string, kind reflect.Type, node ast.Node) {
	found, expected := strconv.Quote(node.GetToken().Value), expectedKind(kind)
	switch {
	case isList(node):
		found = "a list"
	case isSection(node):
		found = "keys with values"
	case kind.Kind() == reflect.Slice && kind.Elem().Kind() != reflect.Struct:
		expected = "a list, such as [" + found + "]"
	}
	f.refuse(key, node, found, expected)
}

// checkPair looks a key up in its section. Unknown ones are for the decoder, but for
// those that are no text, which it passes over.
func (f form) checkPair(section string, kind reflect.Type, pair *ast.MappingValueNode, depth int) {
	if pair.Key.IsMergeKey() {
		f.check(section, kind, pair.Value, depth+1)
		return
	}
	name := keyName(pair.Key)
	switch pair.Key.Type() {
	case ast.IntegerType, ast.FloatType, ast.BoolType, ast.NullType, ast.InfinityType, ast.NanType:
		at := pair.Key.GetToken().Position
		f.mistakes = append(f.mistakes, fmt.Sprintf("%s:%d:%d: unknown key %q: see the configuration's manual for the keys there are", f.path, at.Line, at.Column, name))
	}
	if kind.Kind() == reflect.Map { // its keys are the operator's own
		f.check(section+"."+name, kind.Elem(), pair.Value, depth+1)
		return
	}
	for i := range kind.NumField() {
		field := kind.Field(i)
		if tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); tag != "" && tag == name {
			f.check(strings.TrimPrefix(section+"."+name, "."), field.Type, pair.Value, depth+1)
		}
	}
}

func keyName(key ast.MapKeyNode) string {
	if explicit, is := key.(*ast.MappingKeyNode); is && explicit.Value != nil {
		return explicit.Value.GetToken().Value
	}
	return key.GetToken().Value
}

// fits tells whether a value is of the kind that its key takes.
func fits(kind reflect.Type, node ast.Node) bool {
	switch kind.Kind() {
	case reflect.Struct, reflect.Map:
		return isSection(node)
	case reflect.Slice:
		return isList(node)
	}
	if isList(node) || isSection(node) {
		return false
	}
	switch kind.Kind() {
	case reflect.Int:
		return wholeNumber.MatchString(node.GetToken().Value)
	case reflect.Float64:
		_, err := strconv.ParseFloat(strings.TrimPrefix(node.GetToken().Value, "."), 64) // .nan and .inf are YAML's
		return err == nil
	case reflect.Bool:
		return node.Type() == ast.BoolType
	}
	return true // texts are for validate
}

func isList(node ast.Node) bool { return node.Type() == ast.SequenceType }

func isSection(node ast.Node) bool {
	return node.Type() == ast.MappingType || node.Type() == ast.MappingValueType
}

// refuse notes a mistake at the node that makes it.
func (f form) refuse(key string, node ast.Node, found, expected string) {
	mistake := "found " + found + ", expected " + expected
	if key != "" {
		mistake = key + ": " + mistake
	}
	at := node.GetToken().Position
	f.mistakes = append(f.mistakes, fmt.Sprintf("%s:%d:%d: %s", f.path, at.Line, at.Column, mistake))
}

// yamlError words an error of the YAML library as file:line:column: message.
func yamlError(path string, err error) error {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	position := located.GetToken().Position
	message := located.GetMessage()
	var wrongType *yaml.TypeError
	if errors.As(err, &wrongType) {
		message = fmt.Sprintf("found %q, expected %s", located.GetToken().Value, expectedKind(wrongType.DstType))
	}
	var wrongNode *yaml.UnexpectedNodeTypeError
	if errors.As(err, &wrongNode) {
		message = fmt.Sprintf("found %q, expected %s", located.GetToken().Value, expectedNode(wrongNode.Expected))
	}
	if unknown, found := strings.CutPrefix(message, "unknown field "); found {
		message = fmt.Sprintf("unknown key %s: see the configuration's manual for the keys there are", unknown)
	}
	return fmt.Errorf("%s:%d:%d: %s", path, position.Line, position.Column, message)
}

// expectedKind says in words what a key takes.
func expectedKind(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number, such as 200, in at most 15 digits without a zero in front"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Struct {
			return "a list of keys with values, each beginning with a dash"
		}
		return "a list, such as [\"127.0.0.1:8053\"]"
	case reflect.Struct, reflect.Pointer, reflect.Map:
		return "keys with values"
	}
	return "text"
}

// expectedNode says the same of what the YAML library calls it.
func expectedNode(kind ast.NodeType) string {
	if kind == ast.SequenceType {
		return expectedKind(reflect.TypeFor[[]string]())
	}
	return expectedKind(reflect.TypeFor[config]())
}
