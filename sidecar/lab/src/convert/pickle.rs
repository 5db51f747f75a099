//! A parser for the few pickle instructions that a saved tensor needs.
//!
//! Nothing is looked up, imported or called, so a hostile file can do no more than be refused.

/// A value on the stack of the pickle machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    /// Keys and values, in the order in which they were set.
    Dictionary(Vec<(Value, Value)>),
    /// A Python name, as `module name`.
    Global(String),
    /// Something that the archive stores under an id.
    Persistent(Box<Value>),
    /// A Python name applied to arguments, but not called.
    Applied(String, Vec<Value>),
}

enum Slot {
    Mark,
    Value(Value),
}

/// How many instructions are executed at most; this also bounds stack and memo.
const MAX_INSTRUCTIONS: usize = 10_000;

/// The value that a pickle describes.
///
/// # Errors
/// A sentence about the file, if the pickle is malformed, or needs more than a saved tensor does.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { bytes };
    let mut stack: Vec<Slot> = Vec::new();
    let mut memo: Memo = Vec::new();
    for _ in 0..MAX_INSTRUCTIONS {
        let opcode = reader.byte()?;
        match opcode {
            // PROTO, FRAME
            0x80 => drop(reader.byte()?),
            0x95 => drop(reader.take(8)?),
            // MARK, NONE, NEWTRUE, NEWFALSE
            b'(' => stack.push(Slot::Mark),
            b'N' => stack.push(Slot::Value(Value::None)),
            0x88 => stack.push(Slot::Value(Value::Bool(true))),
            0x89 => stack.push(Slot::Value(Value::Bool(false))),
            // BININT1, BININT2, BININT, LONG1
            b'K' => stack.push(Slot::Value(Value::Int(reader.byte()?.into()))),
            b'M' => stack.push(Slot::Value(Value::Int(reader.little_endian(2)?))),
            b'J' => {
                let value = reader.little_endian(4)?;
                stack.push(Slot::Value(Value::Int(i64::from(value as u32 as i32))));
            }
            0x8a => {
                let length = reader.byte()?;
                let value = if length <= 7 {
                    reader.little_endian(length)?
                } else {
                    return Err("its pickle has a number that is too long".into());
                };
                stack.push(Slot::Value(Value::Int(value)));
            }
            // BINFLOAT
            b'G' => {
                let bytes = reader.take(8)?.first_chunk().ok_or("its pickle is truncated")?;
                stack.push(Slot::Value(Value::Float(f64::from_be_bytes(*bytes))));
            }
            // BINUNICODE, SHORT_BINUNICODE
            b'X' => {
                let length = reader.little_endian(4)? as usize;
                stack.push(Slot::Value(Value::Text(reader.text(length)?)));
            }
            0x8c => {
                let length = reader.byte()?.into();
                stack.push(Slot::Value(Value::Text(reader.text(length)?)));
            }
            // GLOBAL
            b'c' => {
                let name = format!("{} {}", reader.line()?, reader.line()?);
                stack.push(Slot::Value(Value::Global(name)));
            }
            // EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, TUPLE, TUPLE1 to TUPLE3
            b')' => stack.push(Slot::Value(Value::Tuple(Vec::new()))),
            b']' => stack.push(Slot::Value(Value::List(Vec::new()))),
            b'}' => stack.push(Slot::Value(Value::Dictionary(Vec::new()))),
            b't' => {
                let items = pop_to_mark(&mut stack)?;
                stack.push(Slot::Value(Value::Tuple(items)));
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let mut items =
                    (0..count).map(|_| pop(&mut stack)).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                stack.push(Slot::Value(Value::Tuple(items)));
            }
            // APPEND, APPENDS, SETITEM, SETITEMS
            b'a' => {
                let item = pop(&mut stack)?;
                append(&mut stack, vec![item])?;
            }
            b'e' => {
                let items = pop_to_mark(&mut stack)?;
                append(&mut stack, items)?;
            }
            b's' => {
                let value = pop(&mut stack)?;
                let key = pop(&mut stack)?;
                set_items(&mut stack, vec![key, value])?;
            }
            b'u' => {
                let items = pop_to_mark(&mut stack)?;
                set_items(&mut stack, items)?;
            }
            // BINPERSID
            b'Q' => {
                let id = pop(&mut stack)?;
                stack.push(Slot::Value(Value::Persistent(Box::new(id))));
            }
            // REDUCE
            b'R' => {
                let arguments = pop(&mut stack)?;
                match (pop(&mut stack)?, arguments) {
                    (Value::Global(name), Value::Tuple(arguments))
                        if name == "collections OrderedDict" && arguments.is_empty() =>
                    {
                        stack.push(Slot::Value(Value::Dictionary(Vec::new())));
                    }
                    (Value::Global(name), Value::Tuple(arguments)) => {
                        stack.push(Slot::Value(Value::Applied(name, arguments)));
                    }
                    _ => return Err("its pickle calls something that is not a name".into()),
                }
            }
            // BINPUT, LONG_BINPUT, MEMOIZE
            b'q' => memoize(&stack, &mut memo, u32::from(reader.byte()?))?,
            b'r' => {
                let index = reader.little_endian(4)? as u32;
                memoize(&stack, &mut memo, index)?;
            }
            0x94 => {
                let index = memo.len() as u32;
                memoize(&stack, &mut memo, index)?;
            }
            // BINGET, LONG_BINGET
            b'h' => {
                let index = u32::from(reader.byte()?);
                stack.push(Slot::Value(recall(&memo, index)?));
            }
            b'j' => {
                let index = reader.little_endian(4)? as u32;
                stack.push(Slot::Value(recall(&memo, index)?));
            }
            // STOP
            b'.' => return pop(&mut stack),
            other => {
                return Err(format!(
                    "it uses pickle instruction 0x{other:02x}, which a saved tensor does not need: \
                     it holds an object of some class; save plain tensors, or a dictionary of them"
                ));
            }
        }
    }
    Err(format!(
        "its pickle has more than {MAX_INSTRUCTIONS} instructions, which a saved tensor does not \
         need"
    ))
}

fn pop(stack: &mut Vec<Slot>) -> Result<Value, String> {
    match stack.pop() {
        Some(Slot::Value(value)) => Ok(value),
        _ => Err("its pickle pops a value that is not there".into()),
    }
}

fn pop_to_mark(stack: &mut Vec<Slot>) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    loop {
        match stack.pop() {
            Some(Slot::Value(value)) => items.push(value),
            Some(Slot::Mark) => break,
            None => return Err("its pickle lacks a mark".into()),
        }
    }
    items.reverse();
    Ok(items)
}

/// Adds to the list on the stack.
fn append(stack: &mut [Slot], items: Vec<Value>) -> Result<(), String> {
    match stack.last_mut() {
        Some(Slot::Value(Value::List(list))) => {
            list.extend(items);
            Ok(())
        }
        _ => Err("its pickle appends to something that is not a list".into()),
    }
}

/// Sets keys and values, one after the other, in the dictionary on the stack.
fn set_items(stack: &mut [Slot], items: Vec<Value>) -> Result<(), String> {
    let Some(Slot::Value(Value::Dictionary(entries))) = stack.last_mut() else {
        return Err("its pickle sets a key of something that is not a dictionary".into());
    };
    let mut items = items.into_iter();
    while let Some(key) = items.next() {
        let value = items.next().ok_or("its pickle sets a key without a value")?;
        entries.push((key, value));
    }
    Ok(())
}

/// Memoized values by index; `None` for one that cannot be recalled.
type Memo = Vec<(u32, Option<Value>)>;

/// Largest value that is memoized, counted with everything in it. Otherwise a small file could grow
/// exponentially, by putting memoized values into each other.
const MAX_MEMOIZED: usize = 64;

fn memoize(stack: &[Slot], memo: &mut Memo, index: u32) -> Result<(), String> {
    let Some(Slot::Value(value)) = stack.last() else {
        return Err("its pickle memoizes a value that is not there".into());
    };
    let is_constant = !matches!(value, Value::List(_) | Value::Dictionary(_));
    memo.push((index, (is_constant && size(value) <= MAX_MEMOIZED).then(|| value.clone())));
    Ok(())
}

fn recall(memo: &Memo, index: u32) -> Result<Value, String> {
    let found = memo.iter().rev().find(|(at, _)| *at == index);
    match found {
        Some((_, Some(value))) => Ok(value.clone()),
        Some((_, None)) => {
            Err("its pickle uses one list, dictionary or large value twice: save a \
                                copy in place of the second"
                .into())
        }
        None => Err("its pickle recalls a value that was not memoized".into()),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Tuple(items) | Value::List(items) | Value::Applied(_, items) => {
            1 + items.iter().map(size).sum::<usize>()
        }
        Value::Dictionary(entries) => {
            1 + entries.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>()
        }
        Value::Persistent(inner) => 1 + size(inner),
        _ => 1,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("its pickle is truncated")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned integer of at most seven bytes.
    fn little_endian(&mut self, length: u8) -> Result<i64, String> {
        Ok(self
            .take(length.into())?
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | i64::from(*byte)))
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        if length > 1024 {
            return Err("its pickle has a string longer than 1024 bytes".into());
        }
        String::from_utf8(self.take(length)?.to_vec())
            .map_err(|_| "its pickle has a string that is not UTF-8".into())
    }

    fn line(&mut self) -> Result<String, String> {
        let end =
            self.bytes.iter().position(|byte| *byte == b'\n').ok_or("its pickle is truncated")?;
        let line = self.text(end)?;
        self.take(1)?;
        Ok(line)
    }
}
