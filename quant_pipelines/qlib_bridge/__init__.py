"""Both ways between panels and pyqlib: provider folders and DatasetH."""
