"""Transform: model features of the valid rows, written as Feast's offline source, and labels as entity rows."""
