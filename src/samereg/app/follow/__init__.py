"""Lesions followed over the visits of a patient: read, carried, matched, and written as tables."""
