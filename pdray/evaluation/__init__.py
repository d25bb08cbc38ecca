"""From predictions tables to scores, intervals, pictures and reports."""
