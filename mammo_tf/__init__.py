"""Mammography papers, reproduced in Keras and TensorFlow: research software, not a medical device.

Importing the package loads no TensorFlow; the parts are imported by name (`from mammo_tf.models import resnet`).
"""

__version__ = "0.1.0"
