use super::*;
use minijinja::value::Serde;
use serde_json::json;

/// What a template makes of two messages and a function.
fn rendered(template: &str) -> Result<String, String> {
    let variables = json!({
        "messages": [
            {"role": "system", "content": " be good "},
            {"role": "user", "content": "<think>a</think>\nb, c & d < é"},
        ],
        "tools": [{"name": "f", "description": "x < 'y' & é", "b": 1.5, "a": [1, true, null]}],
    });
    let environment = environment("chat", template, 2_000_000).map_err(|e| e.to_string())?;
    let template = environment.get_template("chat").map_err(|error| error.to_string())?;
    template.render(Serde(&variables)).map_err(|error| error.to_string())
}

fn same(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        assert_eq!(rendered(template).as_deref(), Ok(*expected), "{template}");
    }
}

#[test]
fn item_19_tojson_writes_what_python_does() {
    same(&[
        (
            "{{ tools[0] | tojson }}",
            r#"{"name": "f", "description": "x < 'y' & é", "b": 1.5, "a": [1, true, null]}"#,
        ),
        ("{{ 'é😀' | tojson(ensure_ascii=True) }}", r#""\u00e9\ud83d\ude00""#),
        ("{{ 'é' | tojson(ensure_ascii=false) }}", "\"é\""),
        ("{{ tools[0].a | tojson(separators=(',', ':')) }}", "[1,true,null]"),
        (
            "{{ tools[0] | tojson(sort_keys=True, ensure_ascii=False) }}",
            r#"{"a": [1, true, null], "b": 1.5, "description": "x < 'y' & é", "name": "f"}"#,
        ),
        ("{{ {'a': [1, {}]} | tojson(indent=2) }}", "{\n  \"a\": [\n    1,\n    {}\n  ]\n}"),
        ("{{ [1] | tojson(2) }}", "[\n  1\n]"),
        ("{{ [1.0, 0.00001, 1e20, -0.5] | tojson }}", "[1.0, 1e-05, 1e+20, -0.5]"),
        ("{{ '\n\"\\\\' | tojson }}", r#""\n\"\\""#),
        (
            "{{ none | tojson }}{{ {2: 2, true: 3} | tojson(indent=none) }}",
            r#"null{"2": 2, "true": 3}"#,
        ),
    ]);
    assert!(rendered("{{ 1 | tojson(cls=2) }}").unwrap_err().contains("cls"));
}

#[test]
fn item_19_blocks_of_training_and_dates_are_known() {
    same(&[
        (
            "{% for m in messages %}\n{%- generation -%}\n {{ m.role }}\n\
             {%- endgeneration %}{% endfor %}",
            "systemuser",
        ),
        ("{% set generation = 1 %}{{ generation }}{{- generation -}}", "11"),
        ("{# {% generation %} #}{% raw %}{% generation %}{% endraw %}", "{% generation %}"),
        ("{{ 'fixed' if strftime_now is not defined }}", "fixed"),
    ]);
    let date = rendered("{{ strftime_now('%Y-%m-%d') }}").unwrap();
    assert_eq!(date.len(), 10);
    assert!(date.starts_with("20"), "{date}");
    assert!(rendered("{{ strftime_now('%d %B %Y, %H:%M:%S') }}").unwrap().len() > 20);
}

#[test]
fn item_19_lists_and_dictionaries_that_the_template_makes_can_change() {
    same(&[
        (
            "{% set t = [] %}{% for m in messages %}{% set _ = t.append(m.role) %}{% endfor %}\
             {{ t | join('+') }}{{ t[-1] }}{{ t | length }}{{ t[::-1] | first }}",
            "system+useruser2user",
        ),
        (
            "{% set ns = namespace(t=[1]) %}{% for m in messages %}{{ ns.t.append(loop.index) \
             or '' }}{% endfor %}{{ ns.t }}{{ ns.t + [5] == [1, 1, 2, 5] }}",
            "[1, 1, 2]True",
        ),
        (
            "{% set d = {} %}{% set _ = d.update({'a': 1}, b=2) %}{{ d.a }}{{ d.b }}{{ d }}",
            "12{'a': 1, 'b': 2}",
        ),
        (
            "{% set d = {'a': 1} %}{{ d.setdefault('a', 2) }}{{ d.pop('a') }}{{ d.get('a') }}",
            "11None",
        ),
        (
            "{% set d = {'x': [1]} %}{% do d.update({'y': 2}) %}{% for k, v in d.items() %}\
          {{ k }}{{ v }}{% endfor %}{{ d | tojson }}",
            "x[1]y2{\"x\": [1], \"y\": 2}",
        ),
        (
            "{% set t = [3, 1] %}{% do t.extend([2]) %}{% do t.sort() %}{% do t.insert(0, 9) %}\
          {{ t }}{{ t.pop() }}{{ t.pop(0) }}{{ t.index(2) }}{{ t is sequence }}{{ 1 in t }}",
            "[9, 1, 2, 3]391TrueTrue",
        ),
        ("{% set t = [] %}{% do t.append(t) %}{% do t.append(t) %}{{ t }}", "[[], [[]]]"),
        (
            "{{ messages[1:][0].role }}{{ messages[0]['role'] }}{% set _ = [].append(1) %}",
            "usersystem",
        ),
    ]);
    let error = rendered("{% set _ = messages.append(1) %}").unwrap_err();
    assert!(error.contains("append changes a value that the template did not make"), "{error}");
    for endless in [
        "{% set t = [1] %}{% for i in range(60) %}{% do t.extend(t) %}{% endfor %}",
        "{% set t = [1] %}{% for i in range(60) %}{% do t.append(t) %}{% endfor %}{{ t }}",
        "{% set d = {} %}{% for i in range(9999999) %}{% do d.update({i: d}) %}{% endfor %}",
    ] {
        assert!(rendered(endless).is_err(), "{endless}");
    }
}

#[test]
fn item_19_percent_and_format_fill_in_values() {
    same(&[
        ("{{ '<|%s|>' % messages[0].role }}!", "<|system|>!"),
        ("{{ '%s: %d' % (messages[0].role | upper, 3) }}", "SYSTEM: 3"),
        ("{{ 'x' ~ '%s' % 'y' ~ 'z' }}{{ 7 % 4 }}{{ messages | length % 2 }}", "xyz30"),
        ("{{ ('%s' % 1).strip() }}{{ '%(a)s' % {'a': 2} }}", "12"),
        ("{% if loop is not defined and 5 % 2 == 1 %}odd{% endif %}", "odd"),
        ("{{ '{}-{a}'.format(1, a='b') }}{{ '%s' | format(3) }}", "1-b3"),
    ]);
}

#[test]
fn item_19_text_has_the_methods_of_python() {
    same(&[
        ("{{ messages[1].content.split('</think>')[-1].lstrip('\\n') }}", "b, c & d < é"),
        (
            "{{ 'a b  c'.split() }}{{ 'a b c'.split(maxsplit=1) }}{{ 'a,b,c'.split(',', 1) }}",
            "['a', 'b', 'c']['a', 'b c']['a', 'b,c']",
        ),
        ("{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a b '.rsplit(none, 1) }}", "['a,b', 'c'][' a', 'b']"),
        ("{{ '<t>x</t>'.removeprefix('<t>').removesuffix('</t>') }}", "x"),
        ("{{ 'a=b=c'.partition('=') }}{{ 'abc'.rpartition('=')[2] }}", "('a', '=', 'b=c')abc"),
        ("{{ 'xyx'.strip('x') }}{{ ' a '.strip() }}{{ 'aab'.lstrip('a') }}", "yab"),
        ("{{ 'ab'.startswith(('x', 'a')) }}{{ 'ab'.endswith('b', 1) }}", "TrueTrue"),
        ("{{ 'aaa'.replace('a', 'b', 2) }}{{ 'aa'.replace('a', 'b', count=1) }}", "bbaba"),
        (
            "{{ 'a'.ljust(3, '.') }}{{ 'a'.rjust(3) }}{{ '-5'.zfill(4) }}{{ 'a'.center(4, '.') }}",
            "a..  a-005.a..",
        ),
        ("{{ 'héé'.index('é') }}{{ 'Ab'.swapcase() }}{{ 'x y'.title() }}", "1aBX Y"),
        (
            "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}\
          {{ loop.nextitem.role if not loop.last }}{% endfor %}",
            "usersystem",
        ),
        ("{{ messages[0].get('x', 'y') }}{{ messages[0].keys() | list }}", "y['role', 'content']"),
    ]);
    assert!(rendered("{{ 'x'.ljust(999999999) }}").is_err());
}
