"""The benchmark document: tables, plots and prose filled from committed result files, never by hand."""
