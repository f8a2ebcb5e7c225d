//! Rows of a recorded file, CSV or JSON lines, as text by column.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::StringRecord;
use serde_json::{Map, Value};

use super::mapping::Format;

/// A recorded file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}:{line}: {what}", path.display())]
    Line {
        path: PathBuf,
        line: u64,
        what: String,
    },
}

/// What came next.
pub(super) enum Next {
    Row,
    /// The row cannot be used; the text is the same for all rows with the same fault.
    Bad(&'static str),
    End,
}

/// Reads row by row.
pub(super) struct Source {
    path: PathBuf,
    rows: Rows,
    columns: Vec<String>,
    /// Line of the current row, from 1.
    line: u64,
}

enum Rows {
    Csv(Box<csv::Reader<Counted<File>>>),
    Jsonl {
        lines: BufReader<Counted<File>>,
        buffer: Vec<u8>,
    },
}

impl Source {
    /// Opens a file. `named` are the columns that the mapping names: those that JSON lines are
    /// read for; CSV has its own.
    pub(super) fn open(
        path: &Path,
        format: Format,
        delimiter: u8,
        named: Vec<String>,
    ) -> Result<(Self, Arc<AtomicU64>), SourceError> {
        let failed = |source| SourceError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let read = Arc::new(AtomicU64::new(0));
        let file = Counted {
            inner: file,
            read: Arc::clone(&read),
        };
        let mut source = Self {
            path: path.to_owned(),
            rows: rows(file, format, delimiter),
            columns: named,
            line: 1,
        };
        if let Rows::Csv(reader) = &mut source.rows {
            let header = reader.headers().cloned();
            source.columns = header
                .map_err(|error| source.fault(&error))?
                .iter()
                .map(heading)
                .collect();
        }
        Ok((source, read))
    }

    /// Names of the columns, without white space around them.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next row into `row`, a field for each column.
    pub(super) fn next(&mut self, row: &mut StringRecord) -> Result<Next, SourceError> {
        match &mut self.rows {
            Rows::Csv(reader) => {
                let line = reader.position().line();
                let read = reader.read_record(row);
                self.line = row.position().map_or(line, csv::Position::line);
                match read {
                    Ok(false) => Ok(Next::End),
                    Ok(true) if row.len() == self.columns.len() => Ok(Next::Row),
                    Ok(true) => Ok(Next::Bad("the row has not as many fields as the header")),
                    Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                        Ok(Next::Bad("the row is not UTF-8"))
                    }
                    Err(error) => Err(self.fault(&error)),
                }
            }
            Rows::Jsonl { lines, buffer } => {
                let first = self.line == 1 && buffer.is_empty();
                buffer.clear();
                let length =
                    lines
                        .read_until(b'\n', buffer)
                        .map_err(|source| SourceError::Read {
                            path: self.path.clone(),
                            source,
                        })?;
                self.line += u64::from(!first);
                if length == 0 {
                    return Ok(Next::End);
                }
                row.clear();
                match serde_json::from_slice::<Map<String, Value>>(buffer) {
                    Ok(object) => {
                        self.columns
                            .iter()
                            .for_each(|column| row.push_field(&text(object.get(column))));
                        Ok(Next::Row)
                    }
                    Err(_) => Ok(Next::Bad("the line is not a JSON object")),
                }
            }
        }
    }

    fn fault(&self, error: &csv::Error) -> SourceError {
        let line = error.position().map_or(self.line, csv::Position::line);
        SourceError::Line {
            path: self.path.clone(),
            line,
            what: error.to_string(),
        }
    }
}

fn rows(file: Counted<File>, format: Format, delimiter: u8) -> Rows {
    match format {
        Format::Csv => {
            let mut builder = csv::ReaderBuilder::new();
            builder.delimiter(delimiter).flexible(true);
            // A line ends with its line feed, so that lines are counted right in files with CR LF;
            // whoever reads a field trims it.
            builder.terminator(csv::Terminator::Any(b'\n'));
            Rows::Csv(Box::new(builder.from_reader(file)))
        }
        Format::Jsonl => Rows::Jsonl {
            lines: BufReader::new(file),
            buffer: Vec::new(),
        },
    }
}

fn heading(name: &str) -> String {
    name.trim_start_matches('\u{feff}').trim().to_owned()
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Counts what was read, for the progress bar.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
