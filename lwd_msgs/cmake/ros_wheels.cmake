# ROS 2 from PyPI has no setup.bash and exports two things that CMake cannot use as they are. With a ROS 2 installed the
# usual way, both functions below change nothing.

# Put the prefix that holds ROS on CMake's and ament's search paths. The wheels install below the prefix of a Python
# environment (pip's own build environment, or the one that is active); the Python that builds knows where.
function(ros_wheels_find_prefix)
  string(REPLACE ":" ";" prefixes "${CMAKE_PREFIX_PATH}:$ENV{CMAKE_PREFIX_PATH}:$ENV{AMENT_PREFIX_PATH}")
  foreach(prefix IN LISTS prefixes)
    if(EXISTS "${prefix}/share/rosidl_default_generators/package.xml")
      return()
    endif()
  endforeach()
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  # .../PREFIX/lib/pythonX.Y/site-packages/rosidl_cmake/__init__.py
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" -c "
import importlib.util, pathlib
spec = importlib.util.find_spec('rosidl_cmake')
print(pathlib.Path(spec.origin).resolve().parents[4] if spec else '', end='')"
    OUTPUT_VARIABLE prefix
    COMMAND_ERROR_IS_FATAL ANY
  )
  if(prefix STREQUAL "")
    message(FATAL_ERROR
      "No ROS 2: AMENT_PREFIX_PATH names none with rosidl_default_generators, and ${Python3_EXECUTABLE} has no module "
      "rosidl_cmake. Source a ROS 2 installation, or install the ROS wheels that pyproject.toml pins.")
  endif()
  message(STATUS "ROS 2 wheels in ${prefix}")
  set(ENV{AMENT_PREFIX_PATH} "${prefix}:$ENV{AMENT_PREFIX_PATH}")
  list(PREPEND CMAKE_PREFIX_PATH "${prefix}")
  set(CMAKE_PREFIX_PATH "${CMAKE_PREFIX_PATH}" PARENT_SCOPE)
endfunction()

# Drop include directories of the machine that built the wheels (/opt/python/...) from every imported target. They hold
# Python's and NumPy's headers, which rosidl_generator_py finds again on this machine, and CMake refuses a target whose
# include directory does not exist.
function(ros_wheels_mend_include_directories)
  get_directory_property(targets IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(directories MATCHES "/opt/python/")
      list(FILTER directories EXCLUDE REGEX "^/opt/python/")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${directories}")
    endif()
  endforeach()
endfunction()
