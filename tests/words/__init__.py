"""The words of the pages, collected to be translated; and a language that shows what cannot be."""
