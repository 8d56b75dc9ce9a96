"""Data sets, preprocessing, augmentation, and what makes batches of them.

Images keep the dtype of their file or array until preprocessing makes them the network's, float32 or float64. Class
indices are whole numbers, of masks int64; boxes and key points are float32, and float64 while augmentation moves them.
"""
