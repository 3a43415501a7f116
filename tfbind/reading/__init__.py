"""A person's own files: read, looked at, prepared for a model."""

from tfbind.reading.array_files import ArrayFiles as ArrayFiles
from tfbind.reading.data_files import DataFiles as DataFiles
from tfbind.reading.data_files import PictureFiles as PictureFiles
from tfbind.reading.listing import files_of as files_of
from tfbind.reading.looking import Look as Look
from tfbind.reading.looking import threshold_of as threshold_of
from tfbind.reading.options import Options as Options
from tfbind.reading.options import Wanted as Wanted
from tfbind.reading.own_data import OwnData as OwnData
from tfbind.reading.own_data import open_data as open_data
from tfbind.reading.own_data import read_data as read_data
from tfbind.reading.pictures import PictureFile as PictureFile
from tfbind.reading.pictures import read_picture as read_picture
from tfbind.reading.placing import placement as placement
from tfbind.reading.preparation import Arrays as Arrays
from tfbind.reading.preparation import Pictures as Pictures
from tfbind.reading.preparation import Preparation as Preparation
from tfbind.reading.preparation import preparation_of as preparation_of
from tfbind.reading.table_files import TableFiles as TableFiles
from tfbind.reading.tables import Rows as Rows
from tfbind.reading.tables import fit_rows as fit_rows
from tfbind.reading.tables import read_table as read_table
from tfbind.reading.texts import TextFiles as TextFiles
from tfbind.reading.texts import Texts as Texts

__all__ = [
    "ArrayFiles",
    "Arrays",
    "DataFiles",
    "Look",
    "Options",
    "OwnData",
    "PictureFile",
    "PictureFiles",
    "Pictures",
    "Preparation",
    "Rows",
    "TableFiles",
    "TextFiles",
    "Texts",
    "Wanted",
    "files_of",
    "fit_rows",
    "open_data",
    "placement",
    "preparation_of",
    "read_data",
    "read_picture",
    "read_table",
    "threshold_of",
]
