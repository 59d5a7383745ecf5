"""The figures of the pages: pure functions of arrays and frames that give a plotly figure."""
