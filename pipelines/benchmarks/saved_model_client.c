/* Answers one request of a SavedModel by TensorFlow's C API, as a server written in C or C++ does: no Python.

   saved_model_client FOLDER REQUEST ANSWER REPEATS

   REQUEST (whole numbers are int64 of this machine): the bytes of a ConfigProto; the number of inputs, and of each
   its operation, the output of it, the type, the rank, the sizes, and its content: numbers as their bytes, strings one
   after another; the number of outputs, and of each its operation and the output of it. A text is its length and its
   bytes. ANSWER gets the outputs, each as its number of bytes and its bytes. Printed are the microseconds of each of
   REPEATS calls after the first. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tensorflow/c/c_api.h"

static FILE *request;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(const char *what, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static void read_bytes(void *into, size_t size) {
  if (size && fread(into, 1, size, request) != size) fail("request", "it ends too early");
}

static int64_t read_number(void) {
  int64_t number;
  read_bytes(&number, sizeof number);
  return number;
}

static char *read_text(int64_t *length) {
  int64_t size = read_number();
  char *text = malloc((size_t)size + 1);
  read_bytes(text, (size_t)size);
  text[size] = 0;
  if (length) *length = size;
  return text;
}

static TF_Output read_place(TF_Graph *graph) {
  char *name = read_text(NULL);
  TF_Output place = {TF_GraphOperationByName(graph, name), 0};
  if (!place.oper) fail("no such operation", name);
  place.index = (int)read_number();
  free(name);
  return place;
}

static TF_Tensor *read_tensor(void) {
  TF_DataType type = (TF_DataType)read_number();
  int rank = (int)read_number();
  int64_t sizes[8], count = 1;
  if (rank > 8) fail("request", "a rank of more than 8");
  for (int axis = 0; axis < rank; ++axis) count *= sizes[axis] = read_number();
  size_t width = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor *tensor = TF_AllocateTensor(type, sizes, rank, (size_t)count * width);
  if (type != TF_STRING) {
    read_bytes(TF_TensorData(tensor), (size_t)count * width);
    return tensor;
  }
  TF_TString *strings = TF_TensorData(tensor);
  for (int64_t place = 0; place < count; ++place) {
    int64_t length;
    char *text = read_text(&length);
    TF_TString_Init(&strings[place]);
    TF_TString_Copy(&strings[place], text, (size_t)length);
    free(text);
  }
  return tensor;
}

int main(int count, char **arguments) {
  if (count != 5) fail("usage", "saved_model_client FOLDER REQUEST ANSWER REPEATS");
  request = fopen(arguments[2], "rb");
  FILE *answer = fopen(arguments[3], "wb");
  if (!request || !answer) fail("files", "cannot be opened");
  int repeats = atoi(arguments[4]);

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  int64_t length;
  char *config = read_text(&length);
  TF_SetConfig(options, config, (size_t)length, status);
  check("configuration", status);
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph, NULL, status);
  check("loading", status);

  int num_inputs = (int)read_number();
  TF_Output *inputs = calloc((size_t)num_inputs + 1, sizeof *inputs);
  TF_Tensor **values = calloc((size_t)num_inputs + 1, sizeof *values);
  for (int place = 0; place < num_inputs; ++place) {
    inputs[place] = read_place(graph);
    values[place] = read_tensor();
  }
  int num_outputs = (int)read_number();
  TF_Output *outputs = calloc((size_t)num_outputs, sizeof *outputs);
  TF_Tensor **results = calloc((size_t)num_outputs, sizeof *results);
  for (int place = 0; place < num_outputs; ++place) outputs[place] = read_place(graph);

  for (int turn = 0; turn <= repeats; ++turn) {
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    TF_SessionRun(session, NULL, inputs, values, num_inputs, outputs, results, num_outputs, NULL, 0, NULL, status);
    clock_gettime(CLOCK_MONOTONIC, &after);
    check("answering", status);
    if (turn) {
      printf("%.1f\n", 1e6 * (double)(after.tv_sec - before.tv_sec) + 1e-3 * (double)(after.tv_nsec - before.tv_nsec));
    }
    if (turn == repeats) break;
    for (int place = 0; place < num_outputs; ++place) TF_DeleteTensor(results[place]);
  }
  for (int place = 0; place < num_outputs; ++place) {
    int64_t size = (int64_t)TF_TensorByteSize(results[place]);
    fwrite(&size, sizeof size, 1, answer);
    fwrite(TF_TensorData(results[place]), 1, (size_t)size, answer);
    TF_DeleteTensor(results[place]);
  }
  for (int place = 0; place < num_inputs; ++place) TF_DeleteTensor(values[place]);
  fclose(answer);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
  TF_DeleteSessionOptions(options);
  TF_DeleteStatus(status);
  return 0;
}
