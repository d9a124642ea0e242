"""RIDE's teacher on CIFAR-100-LT at imbalance factor 100: six experts, for a GPU.

    python -m ltjax.main --config configs/cifar100_lt_ride_teacher.py

configs/cifar100_lt_ride.py with twice as many experts; its text tells how to distil
from what these learn. Only their SGD network teaches.

Expected, from the literature: 50.2 % (SGD). 1,543,888 parameters, 176.7 M
multiplications an image. Not run here on an accelerator.
"""

from dataclasses import replace
from pathlib import Path

from ltjax.config import file

student = file.read(Path(__file__).with_name("cifar100_lt_ride.py"))
six = replace(student.model.experts, count=6)
config = replace(student, model=replace(student.model, experts=six))
