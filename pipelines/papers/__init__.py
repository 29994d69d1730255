"""Tables that the papers print, beside what this library's models give."""
