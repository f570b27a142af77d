# The examples of seed 004, as people paste them. test_seed_examples.py runs each part; it changes the port, and in one
# run the file that is to be processed.

# --- documents
# 1. 提交文档处理任务
TASK_ID=$(curl -s -X POST http://localhost:8084/api/v1/tasks \
  -H "Content-Type: application/json" \
  -d '{
    "task_type": "document_processing",
    "kb_id": "kb_demo_001", 
    "priority": "high",
    "payload": {
      "file_path": "/tmp/uploads/report.pdf",
      "chunk_size": 1000
    }
  }' | jq -r '.id')

echo "Task ID: $TASK_ID"

# 2. 轮询任务状态
while true; do
  STATUS=$(curl -s http://localhost:8084/api/v1/tasks/$TASK_ID | jq -r '.status')
  PROGRESS=$(curl -s http://localhost:8084/api/v1/tasks/$TASK_ID | jq -r '.progress')
  
  echo "Status: $STATUS, Progress: $PROGRESS%"
  
  if [ "$STATUS" = "completed" ] || [ "$STATUS" = "failed" ]; then
    break
  fi
  
  sleep 2
done

# 3. 获取处理结果
curl -s http://localhost:8084/api/v1/tasks/$TASK_ID | jq '.result'

# --- batch
# 批量提交多个文档处理任务
curl -X POST http://localhost:8084/api/v1/tasks/batch \
  -H "Content-Type: application/json" \
  -d '[
    {
      "task_type": "document_processing",
      "kb_id": "kb_001",
      "payload": {"file_path": "/tmp/doc1.pdf"}
    },
    {
      "task_type": "document_processing", 
      "kb_id": "kb_001",
      "payload": {"file_path": "/tmp/doc2.pdf"}
    }
  ]'

# --- monitoring
# 获取实时统计
curl -s http://localhost:8084/api/v1/stats/system | jq '{
  workers: .total_workers,
  queue: .queue_size,
  rate: .processing_rate
}'

# 获取特定知识库的任务统计
curl -s "http://localhost:8084/api/v1/stats/tasks?kb_id=kb_001" | jq '{
  total: .total_tasks,
  success_rate: .success_rate,
  avg_time: .avg_process_time
}'
