//! Notes that are HTML (google.md §3.1, biographies), as plain text. For reading only: nothing is written as HTML.

/// Elements at whose start or end a line ends.
const BLOCKS: &[&str] =
    &["blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p", "table", "tr", "ul"];
/// Elements whose content nobody sees.
const HIDDEN: &[&str] = &["head", "script", "style", "title"];

/// What a person sees of it. What is no HTML after all comes out as it is, but for white space.
pub(super) fn to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        push(&mut text, &rest[..at]);
        rest = &rest[at..];
        let Some(tag) = tag(rest) else {
            text.push('<');
            rest = &rest[1..];
            continue;
        };
        rest = &rest[tag.length..];
        let name = tag.name.as_str();
        if HIDDEN.contains(&name) && !tag.closes {
            rest = after(rest, name);
        } else if name == "br" || BLOCKS.contains(&name) && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    push(&mut text, rest);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

struct Tag {
    name: String,
    closes: bool,
    length: usize,
}

/// The tag or comment at the start of the text; `None` = a plain less-than sign.
fn tag(text: &str) -> Option<Tag> {
    if text.starts_with("<!--") {
        let length = text.find("-->").map_or(text.len(), |end| end + 3);
        return Some(Tag { name: String::new(), closes: false, length });
    }
    let inner = text.strip_prefix('<')?;
    let (closes, named) = match inner.strip_prefix('/') {
        Some(named) => (true, named),
        None => (false, inner),
    };
    if !named.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
        return None;
    }
    let end = text.find('>')?;
    let name = named.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    Some(Tag { name, closes, length: end + 1 })
}

/// What follows the end of that element.
fn after<'a>(text: &'a str, name: &str) -> &'a str {
    let end = format!("</{name}");
    let at = text.char_indices().map(|(at, _)| at).find(|at| {
        text.as_bytes().get(*at..*at + end.len()).is_some_and(|part| part.eq_ignore_ascii_case(end.as_bytes()))
    });
    at.map_or("", |at| &text[at..])
}

/// Text between tags: white space folds, entities become what they stand for.
fn push(text: &mut String, between: &str) {
    let mut rest = between;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_whitespace() {
            if !text.is_empty() && !text.ends_with([' ', '\n']) {
                text.push(' ');
            }
            rest = &rest[1..];
        } else if let Some((c, length)) = entity(rest) {
            text.push(c);
            rest = &rest[length..];
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
}

fn entity(text: &str) -> Option<(char, usize)> {
    let inner = text.strip_prefix('&')?;
    let end = inner.bytes().take(10).position(|b| b == b';')?;
    let name = &inner[..end];
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((c, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_as_people_see_it() {
        for (html, text) in [
            ("plain", "plain"),
            ("a < b & c", "a < b & c"),
            ("one<br>two<br/>three", "one\ntwo\nthree"),
            ("<div>Met at <b>the fair</b></div><div>calls&nbsp;back</div>", "Met at the fair\ncalls back"),
            ("<p>x &lt;y&gt; &amp; &#39;z&#x27;</p>\n<p>w</p>", "x <y> & 'z'\nw"),
            ("<style>p {}</style><!-- no --><ul><li>a</li><li>b</li></ul>", "a\nb"),
            ("<script>never", ""),
            ("cut <b", "cut <b"),
            ("Ä&ouml;&;&#9999999999;", "Ä&ouml;&;&#9999999999;"),
        ] {
            assert_eq!(to_text(html), text, "{html}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_breaks_it(html in "\\PC{0,40}", tags in "[<>/!a-p&;#x0-9é -]{0,60}") {
            to_text(&html);
            to_text(&tags);
        }
    }
}
