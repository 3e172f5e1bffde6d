"""The ECG beat classifier: data, training, evaluation."""
